/** A place on a chart where less of both is better. */
export interface Cost { x: number; y: number }

/** Points that no other beats: none is at most as dear and loses at most as much, with one of the two less. Ascending in x; of equal points the first. */
export function paretoFront<P extends Cost>(points: readonly P[]): P[] {
  const sorted = points.filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y)).toSorted((a, b) => a.x - b.x || a.y - b.y);
  const front: P[] = [];
  for (const point of sorted) if (point.y < (front.at(-1)?.y ?? Infinity)) front.push(point);
  return front;
}

/** The front as steps: what is possible at most at each cost. */
export function steps(front: readonly Cost[], toX: number): Cost[] {
  return front.flatMap((point, i) => [point, { x: front[i + 1]?.x ?? Math.max(toX, point.x), y: point.y }]);
}
