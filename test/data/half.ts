/** 16-bit floats for tests, round to nearest even; independent of native/core. */

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

export function toBf16(value: number): number {
  float[0] = value;
  const u = bits[0]!;
  if (Number.isNaN(value)) return 0x7fc0;
  return ((u + 0x7fff + ((u >>> 16) & 1)) >>> 16) & 0xffff;
}

export function fromBf16(half: number): number {
  bits[0] = half << 16;
  return float[0]!;
}

export function toF16(value: number): number {
  float[0] = value;
  const u = bits[0]!;
  const sign = (u >>> 16) & 0x8000;
  const magnitude = Math.abs(float[0]!);
  if (Number.isNaN(magnitude)) return 0x7e00;
  if (magnitude >= 65_520) return sign | 0x7c00;
  if (magnitude < 2 ** -14) return sign | roundEven(magnitude * 2 ** 24);
  const exponent = ((u >>> 23) & 0xff) - 127;
  // A mantissa that rounds up to 2,048 carries into the exponent by itself.
  return sign | ((exponent + 14) * 1024 + roundEven(magnitude * 2 ** (10 - exponent)));
}

export function fromF16(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 31, mantissa = half & 1023;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 31) return mantissa ? NaN : sign * Infinity;
  return sign * (1024 + mantissa) * 2 ** (exponent - 25);
}

function roundEven(x: number): number {
  const down = Math.floor(x), rest = x - down;
  return rest > 0.5 || (rest === 0.5 && down % 2 === 1) ? down + 1 : down;
}
