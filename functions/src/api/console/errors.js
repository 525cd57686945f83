// Errors: chart, groups of similar errors, and the newest ones, with filters.

import { Fragment, h, useEffect, useMemo, useRef, useState } from "./preact.js";
import { call, fieldProblem, query, readPage } from "./api.js";
import { Chart } from "./chart.js";
import { useData, usePolling } from "./data.js";
import { ErrorPanel } from "./error.js";
import { IntegrationFilter } from "./integrations.js";
import { UserField, UserLink, WorkflowLink, useNames } from "./names.js";
import { changed, go, link, useAddress, useTitle } from "./route.js";
import {
  announce,
  Badge,
  Chips,
  Code,
  Empty,
  excerpt,
  Field,
  FilterField,
  Form,
  isoTime,
  LiveNotice,
  localInput,
  PageLinks,
  plural,
  Problem,
  Skeleton,
  Table,
  Tabs,
  Time,
  Toggle,
} from "./ui.js";

export { ErrorsPage, RangeChoice, rangeOf, pagesOf, RANGES };

const PAGE_SIZE = 50;
// Time ranges by name, in minutes.
const RANGES = { "15m": ["15 min", 15], "1h": ["1 h", 60], "24h": ["24 h", 1440], "7d": ["7 d", 10080] };
// Filters of the API, which are parameters of the address with the same names.
const FILTERS = ["workflowId", "userId", "blockType", "integrationId", "executionId", "fingerprint"];
// Updates without new errors after which everything is loaded again: errors may be reported late,
// and old ones leave the range.
const UPDATES_UNTIL_RELOAD = 6;
// Time by which the clock of an engine may be ahead of that of the browser without being wrong.
const CLOCK_TOLERANCE_MS = 5000;
const STATUS_CODE = /(?:status|code|HTTP)\D{0,12}([1-5]\d\d)\b/i;

const statusCode = (error) => STATUS_CODE.exec(error)?.[1] ?? "";

// Returns the bounds of a time range for the API: since and until, or those of a preset that ends
// now.
function rangeOf({ range, since, until }, fallback) {
  if (since || until) return { since, until };
  const minutes = Object.hasOwn(RANGES, range ?? fallback) && RANGES[range ?? fallback][1];
  // Whole minutes: a request for the same range has the same address for a while.
  return minutes ? { since: new Date(Math.floor(Date.now() / 60000 - minutes) * 60000).toISOString() } : {};
}

// Returns what the links of a list need. The range of its pages stays as it is: a preset keeps its
// name, for the newest page.
const pagesOf = ({ range, since, until }, present, fallback) => ({
  fallback,
  range: since || until ? { range, since, until } : { range: range ?? fallback, ...present },
});

// Presets of the time range, and a custom one.
function RangeChoice({ parameters, fallback }) {
  const [isOpen, setOpen] = useState(false);
  const { since, until } = parameters;
  const present = since || until ? "custom" : (parameters.range ?? fallback);
  return h(
    Fragment,
    {},
    h(
      "div",
      { class: "segments", role: "group", "aria-label": "Time range" },
      Object.entries(RANGES).map(([name, [title]]) =>
        h(
          "a",
          {
            key: name,
            href: changed({ range: name, since: null, until: null, cursor: null }),
            "aria-current": name === present ? "true" : undefined,
            onClick: () => setOpen(false),
          },
          title,
        ),
      ),
      h(
        "button",
        {
          type: "button",
          "aria-expanded": String(isOpen),
          "aria-current": present === "custom" ? "true" : undefined,
          onClick: () => setOpen(!isOpen),
        },
        present === "custom" ? rangeText(since, until) : "Custom",
      ),
    ),
    isOpen &&
      h(
        "div",
        { class: "card wide" },
        h(
          Form,
          {
            submit: "Show",
            send: async (values) => {
              if (values.until && values.until <= values.since) throw fieldProblem("until", "must be after the start");
              setOpen(false);
              go(changed({ range: null, since: isoTime(values.since), until: isoTime(values.until), cursor: null }));
            },
          },
          h(Field, {
            label: "Since",
            name: "since",
            type: "datetime-local",
            step: 1,
            required: true,
            value: localInput(since ?? rangeOf(parameters, fallback).since),
          }),
          h(Field, {
            label: "Until",
            name: "until",
            type: "datetime-local",
            step: 1,
            value: until ? localInput(until) : "",
            hint: "Now, if it is empty",
          }),
        ),
      ),
  );
}

function rangeText(since, until) {
  const text = (time) =>
    new Date(time).toLocaleString(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
  return `${since ? text(since) : "…"} – ${until ? text(until) : "now"}`;
}

function ErrorsPage() {
  const { parameters } = useAddress();
  const { view = "groups", error, text = "", status = "", cursor } = parameters;
  const filters = Object.fromEntries(FILTERS.map((name) => [name, parameters[name]]));
  // A preset ends now, and moves with every request.
  const range = () => rangeOf(parameters, "24h");
  const [isLive, setLive] = useState(true);
  useTitle("Errors");
  const key = JSON.stringify([filters, parameters.range, parameters.since, parameters.until]);
  const overview = useData(`groups ${key}`, () => call("GET", `errors/groups${query({ ...filters, ...range() })}`));
  const list = useData(`errors ${key} ${cursor ?? ""} ${view}`, async () => {
    if (view !== "list" && !filters.fingerprint) return null;
    // The cursor of the next page is that of this range.
    const present = range();
    return { ...(await readPage("logs", { ...filters, ...present, limit: PAGE_SIZE, cursor })), range: present };
  });
  const isList = view === "list" || Boolean(filters.fingerprint);

  // New errors: those since the newest known one, which are few.
  const newest = useRef(null);
  const known = useRef(new Set());
  const idleUpdates = useRef(0);
  useEffect(() => {
    newest.current = null;
    known.current = new Set();
    idleUpdates.current = 0;
  }, [key]);
  const isFollowing = isLive && !parameters.until && Boolean(overview.data);
  const reload = async () => {
    const problems = await Promise.all([overview.reload(), isList && !cursor && list.reload()]);
    const problem = problems.find(Boolean);
    if (problem) throw problem;
    idleUpdates.current = 0;
  };
  const live = usePolling(
    async (isWanted) => {
      if ((idleUpdates.current += 1) >= UPDATES_UNTIL_RELOAD) {
        await reload();
        return false;
      }
      const { groups } = overview.data;
      // The clock of an engine may be ahead: newer errors of others are earlier.
      const present = new Date(Date.now() + CLOCK_TOLERANCE_MS).toISOString();
      const latest = (times) =>
        times
          .filter((time) => time <= present)
          .toSorted()
          .at(-1);
      const since = newest.current ?? latest([range().since ?? "", ...groups.map(({ lastSeen }) => lastSeen)]);
      const { errors, cursor: hasMore } = await call("GET", `logs${query({ ...filters, since, limit: PAGE_SIZE })}`);
      if (!isWanted()) return false;
      // Which ones of a group from the future are shown is not known at first.
      const isFromFuture = groups.some(({ lastSeen }) => lastSeen > present);
      const isKnown = newest.current
        ? ({ _id }) => known.current.has(_id)
        : ({ createdAt }) => isFromFuture || createdAt <= since;
      const added = errors.filter((found) => !isKnown(found));
      // They are found again if the page cannot show them now.
      if (added.length) await reload();
      if (!isWanted()) return false;
      known.current = new Set(errors.map(({ _id }) => _id));
      newest.current = latest([since, ...errors.map(({ createdAt }) => createdAt)]);
      if (!added.length) return false;
      announce(`${plural(added.length, "new error")}${hasMore ? " or more" : ""}.`);
      return true;
    },
    { isActive: isFollowing, key },
  );

  const codes = useMemo(
    () =>
      [...new Set((overview.data?.groups ?? []).map(({ example }) => statusCode(example.error)))]
        .filter(Boolean)
        .toSorted(),
    [overview.data],
  );
  const matches = ({ error: found }) =>
    (!text || found.toLowerCase().includes(text.toLowerCase())) && (!status || statusCode(found) === status);
  const isShownLive = isFollowing && ![overview, list, live].some(({ problem }) => problem);
  const group =
    filters.fingerprint && overview.data?.groups.find(({ fingerprint }) => fingerprint === filters.fingerprint);
  return h(
    Fragment,
    {},
    h(
      "div",
      { class: "row spread" },
      h("h1", { tabIndex: -1 }, "Errors"),
      h(
        "div",
        { class: "row" },
        h("span", { class: `live ${isShownLive ? "good" : "quiet"}` }, isShownLive ? "Live" : "Not live"),
        h(Toggle, { isOn: isLive, label: "Follow new errors", action: async () => setLive(!isLive) }),
      ),
    ),
    h("div", { class: "row" }, h(RangeChoice, { parameters, fallback: "24h" })),
    h(FilterBar, { parameters, groups: overview.data?.groups, codes }),
    h(LiveNotice, { live }),
    h(Problem, {
      problem: !live.problem && (overview.problem ?? list.problem),
      retry: () => Promise.all([overview.reload(), list.reload()]),
    }),
    overview.data
      ? h(Chart, {
          ...overview.data,
          isNewest: !overview.data.complete && (!hasMoreGroups(overview.data) || hasAllThatAreCounted(overview.data)),
          note: text || status ? "before the search and the status code" : "",
          select: (since, until) =>
            go(changed({ range: null, since: since.toISOString(), until: until.toISOString(), cursor: null })),
        })
      : overview.isLoading && h(Skeleton, { rows: 3 }),
    filters.fingerprint
      ? h(GroupSummary, { group, isLoading: overview.isLoading && !overview.data, errors: list.data?.errors })
      : h(Tabs, {
          label: "View",
          present: view,
          tabs: [
            ["groups", groupsTitle(overview.data?.groups, matches), changed({ view: null, cursor: null })],
            ["list", "Newest first", changed({ view: "list", cursor: null })],
          ],
        }),
    isList
      ? h(ErrorList, { ...list, matches, pages: pagesOf(parameters, list.data?.range ?? range(), "24h") })
      : overview.data && h(Groups, { ...overview.data, matches }),
    error && h(ErrorPanel, { id: error, key: error, close: () => go(changed({ error: null })) }),
  );
}

function groupsTitle(groups, matches) {
  if (!groups) return "Groups";
  const shown = groups.filter(({ example }) => matches(example)).length;
  return shown === groups.length ? `Groups (${shown})` : `Groups (${shown} of ${groups.length})`;
}

function FilterBar({ parameters, groups = [], codes }) {
  const { users, workflows } = useNames();
  const set = (name) => (event) => go(changed({ [name]: event.currentTarget.value || null, cursor: null }));
  const blocks = [
    ...new Set([parameters.blockType, ...groups.map(({ blockType }) => blockType)].filter(Boolean)),
  ].toSorted();
  const select = (label, name, options) =>
    h(
      "label",
      {},
      label,
      h(
        "select",
        { value: parameters[name] ?? "", onChange: set(name) },
        h("option", { value: "" }, "All"),
        options.map(([value, title = value]) => h("option", { key: value, value }, title)),
      ),
    );
  const chips = [
    parameters.workflowId && [
      "workflowId",
      `Workflow ${workflows.get(parameters.workflowId) ?? parameters.workflowId}`,
    ],
    parameters.userId && ["userId", `User ${users.get(parameters.userId) ?? parameters.userId}`],
    parameters.fingerprint && ["fingerprint", "One group of errors"],
  ].filter(Boolean);
  const [isOpen, setOpen] = useState(false);
  const isFiltered =
    chips.length > 0 ||
    ["blockType", "integrationId", "executionId", "status", "text"].some((name) => parameters[name]);
  return h(
    "div",
    { class: "filters" },
    h(
      "button",
      { type: "button", class: "fold", "aria-expanded": String(isOpen), onClick: () => setOpen(!isOpen) },
      "Filters",
    ),
    select(
      "Block type",
      "blockType",
      blocks.map((block) => [block]),
    ),
    h(IntegrationFilter, { value: parameters.integrationId, onChange: set("integrationId") }),
    select(
      "Status code",
      "status",
      [...new Set([...codes, parameters.status].filter(Boolean))].map((code) => [code]),
    ),
    h(UserField, { value: parameters.userId ?? "", onChange: set("userId") }),
    h(FilterField, {
      label: "Execution",
      value: parameters.executionId ?? "",
      placeholder: "Id",
      onChange: set("executionId"),
    }),
    h(
      "label",
      {},
      "Search loaded errors",
      h("input", {
        type: "search",
        value: parameters.text ?? "",
        onInput: (event) => go(changed({ text: event.currentTarget.value }), { replace: true }),
      }),
    ),
    isFiltered &&
      h(
        "div",
        { class: "row" },
        h(Chips, { chips }),
        h(
          "a",
          {
            href: link(["errors"], {
              view: parameters.view,
              range: parameters.range,
              since: parameters.since,
              until: parameters.until,
            }),
          },
          "Clear filters",
        ),
      ),
  );
}

const affected = (count, one, ids, Link) => (count === 1 && ids?.length ? h(Link, { id: ids[0] }) : plural(count, one));

// Maximum number of groups that the API returns.
const MAX_GROUPS = 100;
// Number of errors that the API counts: the newest ones.
const MAX_COUNTED = 5000;
const hasAllThatAreCounted = ({ histogram }) => histogram.reduce((sum, { count }) => sum + count, 0) >= MAX_COUNTED;
const hasMoreGroups = ({ groups }) => groups.length >= MAX_GROUPS;

function Groups({ groups, complete, matches }) {
  const shown = groups.filter(({ example }) => matches(example));
  const highest = Math.max(...groups.map(({ count }) => count));
  if (!shown.length)
    return h(
      Empty,
      { title: "No errors" },
      groups.length
        ? "No example of a group matches the search and the status code. “Newest first” searches all loaded errors."
        : "Nothing failed in this time range.",
    );
  return h(
    Fragment,
    {},
    h(
      Table,
      { titles: [h("th", { class: "number" }, "Count"), "Error", "Block", "Affected", "First seen", "Last seen"] },
      shown.map(({ fingerprint, count, example, blockType, workflows, workflowIds, users, firstSeen, lastSeen }) =>
        h(
          "tr",
          { key: fingerprint },
          h(
            "td",
            { class: "number" },
            h("strong", {}, count.toLocaleString()),
            h("span", { class: "share" }, h("span", { style: { width: `${(count / highest) * 100}%` } })),
          ),
          h(
            "td",
            { class: "text" },
            h("a", { href: changed({ fingerprint, cursor: null }) }, excerpt(example.error, 160)),
          ),
          h("td", {}, h(Code, { text: blockType })),
          h(
            "td",
            { class: "nowrap" },
            affected(workflows, "workflow", workflowIds, WorkflowLink),
            h("span", { class: "quiet block" }, plural(users, "user")),
          ),
          h("td", { class: "nowrap", "data-label": "First seen" }, h(Time, { at: firstSeen })),
          h("td", { class: "nowrap", "data-label": "Last seen" }, h(Time, { at: lastSeen })),
        ),
      ),
    ),
    !complete &&
      h(
        "p",
        { class: "quiet" },
        hasMoreGroups({ groups })
          ? "The largest groups are shown. Choose filters or a shorter time range to see others."
          : "Only the newest errors of the time range are counted.",
      ),
  );
}

const Links = ({ ids, Link }) => ids.map((id, index) => h(Fragment, { key: id }, index > 0 && ", ", h(Link, { id })));

// A group: what happens, and whom it affects.
function GroupSummary({ group, isLoading, errors = [] }) {
  const userIds = [...new Set(errors.map(({ userId }) => userId))];
  return h(
    "section",
    { class: "card", "aria-label": "Group" },
    h(
      "div",
      { class: "row spread" },
      h("h2", {}, "Group of similar errors"),
      h("a", { href: changed({ fingerprint: null, cursor: null }) }, "All groups"),
    ),
    group
      ? h(
          Fragment,
          {},
          h("pre", { tabIndex: 0, role: "group", "aria-label": "Example" }, group.example.error),
          h(
            "p",
            { class: "row" },
            h(Badge, {}, plural(group.count, "error")),
            h(Code, { text: group.blockType }),
            h("span", {}, "first seen ", h(Time, { at: group.firstSeen })),
            h("span", {}, "last seen ", h(Time, { at: group.lastSeen })),
          ),
          h(
            "p",
            {},
            h("strong", {}, `${plural(group.workflows, "affected workflow")}: `),
            h(Links, { ids: group.workflowIds, Link: WorkflowLink }),
            group.workflows > group.workflowIds.length && " and others",
          ),
          h(
            "p",
            {},
            h("strong", {}, `${plural(group.users, "affected user")}: `),
            h(Links, { ids: userIds, Link: UserLink }),
            group.users > userIds.length && " and others",
          ),
        )
      : !isLoading && h("p", { class: "quiet" }, "No error of this group in the time range."),
  );
}

function ErrorList({ data, isLoading, matches, pages }) {
  if (!data) return isLoading ? h(Skeleton, { rows: 8 }) : h(PageLinks, pages);
  const { errors } = data;
  const shown = errors.filter(matches);
  return h(
    Fragment,
    {},
    shown.length
      ? h(
          Table,
          { titles: ["Time", "Error", "Block", "Workflow", "User"] },
          shown.map((found) =>
            h(
              "tr",
              { key: `${found._id}/${found.workflowId}` },
              h("td", { class: "nowrap" }, h(Time, { at: found.createdAt })),
              h("td", { class: "text" }, h("a", { href: changed({ error: found._id }) }, excerpt(found.error, 200))),
              h("td", {}, h(Code, { text: found.blockType })),
              h("td", {}, h(WorkflowLink, { id: found.workflowId })),
              h("td", {}, h(UserLink, { id: found.userId })),
            ),
          ),
        )
      : h(
          Empty,
          { title: "No errors", cursor: !errors.length && data.cursor },
          errors.length
            ? "No loaded error matches the search and the status code."
            : "Nothing failed in this time range.",
        ),
    h(PageLinks, { ...pages, cursor: data.cursor, older: "Older errors" }),
  );
}
