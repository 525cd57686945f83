// Chart of errors over time.

import { h, useLayoutEffect, useRef, useState } from "./preact.js";
import { zoneAt } from "./times.js";
import { plural } from "./ui.js";

export { Chart };

const [HEIGHT, LEFT, BOTTOM, TOP] = [150, 40, 22, 8];
// Width that a label of the time axis needs.
const LABEL_WIDTH = 90;
const DAY_MS = 86400000;
// Round steps of the time axis in seconds, up to 30 days.
const STEPS = [1, 5, 15, 60, 300, 900, 3600, 10800, 21600, 43200, 86400, 172800, 604800, 2592000];

// Returns round steps of the vertical axis, the last of them not below the highest count.
function scale(highest) {
  const step =
    [1, 2, 5, 10]
      .map((factor) => factor * 10 ** Math.floor(Math.log10(Math.max(highest, 1) / 2)))
      .find((size) => size >= 1 && highest / size <= 4) ?? 1;
  return Array.from({ length: Math.ceil(highest / step) + 1 }, (_, index) => index * step);
}

// Returns the width of an element, which changes with the window.
function useWidth(element) {
  const [width, setWidth] = useState(960);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(([{ contentRect }]) => setWidth(Math.max(200, contentRect.width)));
    observer.observe(element.current);
    return () => observer.disconnect();
  }, []);
  return width;
}

// Follows the pointer and the arrow keys over bars. Returns the bar that is shown, the first and
// the last bar of the selection, and the handlers of the events. `select` gets the first and the
// last bar.
function useSelection(count, barAt, select) {
  const [range, setRange] = useState(null);
  const [shown, setShown] = useState(null);
  const ordered = (bars) => bars.toSorted((a, b) => a - b);
  const finish = (bars) => {
    setRange(null);
    select(...ordered(bars));
  };
  const onKeyDown = (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1 };
    if (event.key in steps) {
      const next = Math.max(0, Math.min(count - 1, (shown ?? -1) + steps[event.key]));
      setRange(event.shiftKey ? [range?.[0] ?? shown ?? next, next] : null);
      setShown(next);
    } else if (event.key === "Enter" && shown !== null) {
      finish(range ?? [shown, shown]);
    } else if (event.key === "Escape") {
      setRange(null);
      setShown(null);
    } else {
      return;
    }
    event.preventDefault();
  };
  const handlers = {
    onKeyDown,
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
      if (range) finish([range[0], barAt(event)]);
    },
    onPointerLeave: () => {
      if (!range) setShown(null);
    },
    onPointerCancel: () => setRange(null),
  };
  const [from, to] = range ? ordered(range) : [shown, shown];
  return { shown, from, to, handlers };
}

const localTime = (at, options) => new Date(at).toLocaleString(undefined, options);

function CountAxis({ counts, width, y }) {
  return counts.map((count) =>
    h(
      "g",
      { key: count },
      h("line", { x1: LEFT, x2: width, y1: y(count), y2: y(count) }),
      h("text", { x: LEFT - 6, y: y(count) + 4, "text-anchor": "end" }, count),
    ),
  );
}

// Marks round local times: full minutes, hours or days, of which as many as have room.
function TimeAxis({ from, to, width }) {
  const room = ((to - from) * LABEL_WIDTH) / (width - LEFT);
  const step = STEPS.map((seconds) => seconds * 1000).find((length) => length >= room) ?? room;
  const offset = (at) => new Date(at).getTimezoneOffset() * 60000;
  const first = Math.ceil((from - offset(from)) / step) * step;
  return Array.from({ length: (to - from) / step + 1 }, (_, index) => {
    const local = first + index * step;
    // The offset changes where summer time begins or ends.
    const at = local + offset(local + offset(from));
    const x = LEFT + ((at - from) / (to - from)) * (width - LEFT);
    const options =
      local % DAY_MS
        ? { hour: "2-digit", minute: "2-digit", ...(step < 60000 && { second: "2-digit" }) }
        : { month: "short", day: "numeric" };
    return (
      x + LABEL_WIDTH / 2 < width &&
      h("text", { key: at, x, y: HEIGHT - 5, "text-anchor": "middle" }, localTime(at, options))
    );
  });
}

function Bars({ histogram, barWidth, x, y }) {
  return histogram.map(
    ({ start, count }, index) =>
      count > 0 &&
      h("rect", {
        key: start,
        class: "bar",
        x: x(index) + barWidth * 0.1,
        width: barWidth * 0.8,
        y: Math.min(y(count), HEIGHT - BOTTOM - 2),
        height: Math.max(2, HEIGHT - BOTTOM - y(count)),
      }),
  );
}

// Draws the histogram of errors, of which only the newest may be counted. Dragging over bars, or
// the arrow keys with Enter, select a time range.
function Chart({ histogram, isNewest, note, select }) {
  const svg = useRef(null);
  const width = useWidth(svg);
  const starts = histogram.map(({ start }) => new Date(start).getTime());
  const length = starts.length > 1 ? starts[1] - starts[0] : 60000;
  const highest = Math.max(1, ...histogram.map(({ count }) => count));
  const total = histogram.reduce((sum, { count }) => sum + count, 0);
  const barWidth = (width - LEFT) / histogram.length;
  const x = (index) => LEFT + index * barWidth;
  const counts = scale(highest);
  const y = (count) => HEIGHT - BOTTOM - (count / counts.at(-1)) * (HEIGHT - BOTTOM - TOP);
  const barAt = (event) => {
    const place = event.clientX - svg.current.getBoundingClientRect().left - LEFT;
    return Math.max(0, Math.min(histogram.length - 1, Math.floor(place / barWidth)));
  };
  const { shown, from, to, handlers } = useSelection(histogram.length, barAt, (first, last) =>
    select(new Date(starts[first]), new Date(starts[last] + length)),
  );
  const describe = (index) =>
    `${plural(histogram[index].count, "error")}, ${localTime(starts[index], { dateStyle: "medium", timeStyle: "medium" })} to ${localTime(starts[index] + length, { timeStyle: "medium" })} ${zoneAt(starts[index])}`;
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
        h("span", { class: "quiet" }, `${note && ` ${note}`} · times in ${zoneAt(starts.at(-1))}`),
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
        "aria-label": `Errors over time: ${total}, at most ${highest} per bar. The arrow keys choose a bar, with Shift a range, and Enter selects its time.`,
        ...handlers,
      },
      h(CountAxis, { counts, width, y }),
      from !== null &&
        h("rect", {
          class: "selection",
          x: x(from),
          y: TOP,
          width: (to - from + 1) * barWidth,
          height: HEIGHT - BOTTOM - TOP,
        }),
      h(Bars, { histogram, barWidth, x, y }),
      h(TimeAxis, { from: starts[0], to: starts.at(-1) + length, width }),
    ),
  );
}
