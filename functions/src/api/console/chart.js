// Chart of errors over time.

import { h, useLayoutEffect, useRef, useState } from "./preact.js";
import { plural } from "./ui.js";

export { Chart };

const [HEIGHT, LEFT, BOTTOM, TOP] = [150, 40, 22, 8];
// Width that a label of the time axis needs.
const LABEL_WIDTH = 110;
const DAY_MS = 86400000;

// Returns round steps of the vertical axis.
function scale(highest) {
  const step =
    [1, 2, 5, 10]
      .map((factor) => factor * 10 ** Math.floor(Math.log10(Math.max(highest, 1) / 2)))
      .find((size) => size >= 1 && highest / size <= 4) ?? 1;
  return Array.from({ length: Math.floor(highest / step) + 1 }, (_, index) => index * step);
}

// Draws the histogram of errors, of which only the newest may be counted. Dragging over bars, or
// the arrow keys with Enter, select a time range.
function Chart({ histogram, isNewest, note, select }) {
  const [range, setRange] = useState(null);
  const [shown, setShown] = useState(null);
  const [width, setWidth] = useState(960);
  const svg = useRef(null);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(([{ contentRect }]) => setWidth(Math.max(200, contentRect.width)));
    observer.observe(svg.current);
    return () => observer.disconnect();
  }, []);
  const starts = histogram.map(({ start }) => new Date(start).getTime());
  const length = starts.length > 1 ? starts[1] - starts[0] : 60000;
  const highest = Math.max(1, ...histogram.map(({ count }) => count));
  const total = histogram.reduce((sum, { count }) => sum + count, 0);
  const barWidth = (width - LEFT) / histogram.length;
  const y = (count) => HEIGHT - BOTTOM - (count / highest) * (HEIGHT - BOTTOM - TOP);
  const isLong = length * histogram.length > DAY_MS * 1.5;
  const time = (at, options) => new Date(at).toLocaleString(undefined, options);
  const tick = (at) =>
    time(
      at,
      isLong
        ? { month: "short", day: "numeric" }
        : { hour: "2-digit", minute: "2-digit", ...(length < 20000 && { second: "2-digit" }) },
    );
  const zone = new Intl.DateTimeFormat(undefined, { timeZoneName: "short" })
    .formatToParts()
    .find(({ type }) => type === "timeZoneName").value;
  const describe = (index) =>
    `${plural(histogram[index].count, "error")}, ${time(starts[index], { dateStyle: "medium", timeStyle: "medium" })} to ${time(starts[index] + length, { timeStyle: "medium" })} ${zone}`;
  const barAt = (event) => {
    const place = event.clientX - svg.current.getBoundingClientRect().left - LEFT;
    return Math.max(0, Math.min(histogram.length - 1, Math.floor(place / barWidth)));
  };
  const finish = (first, last) => {
    setRange(null);
    select(new Date(Math.min(starts[first], starts[last])), new Date(Math.max(starts[first], starts[last]) + length));
  };
  const onKeyDown = (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1 };
    if (event.key in steps) {
      const next = Math.max(0, Math.min(histogram.length - 1, (shown ?? -1) + steps[event.key]));
      setRange(event.shiftKey ? [range?.[0] ?? shown ?? next, next] : null);
      setShown(next);
    } else if (event.key === "Enter" && shown !== null) {
      finish(...(range ?? [shown, shown]));
    } else if (event.key === "Escape") {
      setRange(null);
      setShown(null);
    } else {
      return;
    }
    event.preventDefault();
  };
  const [from, to] = range ? range.toSorted((a, b) => a - b) : [shown, shown];
  const every = Math.ceil((histogram.length * LABEL_WIDTH) / (width - LEFT));
  return h(
    "figure",
    { class: "chart" },
    h(
      "figcaption",
      { class: "row spread" },
      h(
        "span",
        {},
        h("strong", {}, `${isNewest ? "Newest " : ""}${plural(total, "error")}`),
        h("span", { class: "quiet" }, `${note && ` ${note}`} · times in ${zone}`),
      ),
      h("output", { class: "quiet" }, shown === null ? "Select bars to zoom in" : describe(shown)),
    ),
    h(
      "svg",
      {
        ref: svg,
        height: HEIGHT,
        role: "img",
        tabindex: 0,
        onKeyDown,
        "aria-label": `Errors over time: ${total}, at most ${highest} per bar. The arrow keys choose a bar, with Shift a range, and Enter selects its time.`,
        onPointerDown: (event) => {
          if (event.button !== 0) return;
          event.currentTarget.setPointerCapture(event.pointerId);
          setRange([barAt(event), barAt(event)]);
        },
        onPointerMove: (event) => {
          setShown(barAt(event));
          if (range) setRange([range[0], barAt(event)]);
        },
        onPointerUp: (event) => {
          if (range) finish(range[0], barAt(event));
        },
        onPointerLeave: () => {
          if (!range) setShown(null);
        },
        onPointerCancel: () => setRange(null),
      },
      scale(highest).map((count) =>
        h(
          "g",
          { key: count },
          h("line", { x1: LEFT, x2: width, y1: y(count), y2: y(count) }),
          h("text", { x: LEFT - 6, y: y(count) + 4, "text-anchor": "end" }, count),
        ),
      ),
      from !== null &&
        h("rect", {
          class: "selection",
          x: LEFT + from * barWidth,
          y: TOP,
          width: (to - from + 1) * barWidth,
          height: HEIGHT - BOTTOM - TOP,
        }),
      histogram.map(
        ({ start, count }, index) =>
          count > 0 &&
          h("rect", {
            key: start,
            class: "bar",
            x: LEFT + index * barWidth + barWidth * 0.1,
            width: barWidth * 0.8,
            y: Math.min(y(count), HEIGHT - BOTTOM - 2),
            height: Math.max(2, HEIGHT - BOTTOM - y(count)),
          }),
      ),
      histogram.map(
        ({ start }, index) =>
          index % every === 0 &&
          LEFT + index * barWidth + LABEL_WIDTH / 2 < width &&
          h("text", { key: start, x: LEFT + index * barWidth, y: HEIGHT - 5 }, tick(starts[index])),
      ),
    ),
  );
}
