import { useLayoutEffect, useRef } from "react";

/** A mark in an SVG of the screen: the very function that also draws the figure. Pass a function that is stable between equal pictures. */
export function Mark({ draw }: { draw: (g: SVGGElement) => void }) {
  const ref = useRef<SVGGElement>(null);
  useLayoutEffect(() => {
    if (ref.current !== null) draw(ref.current);
  }, [draw]);
  return <g ref={ref} />;
}
