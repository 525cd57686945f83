// Groups of similar errors.

import { Fragment, h } from "./preact.js";
import { UserLink, WorkflowLink } from "./names.js";
import { changed } from "./route.js";
import { Time } from "./times.js";
import { Badge, Code, Empty, excerpt, plural, Table } from "./ui.js";

export { Groups, GroupSummary, groupsTitle, areNewestOnly };

// Maximum number of groups that the API returns.
const MAX_GROUPS = 100;
// Number of errors that the API counts: the newest ones.
const MAX_COUNTED = 5000;
const hasAllThatAreCounted = ({ histogram }) => histogram.reduce((sum, { count }) => sum + count, 0) >= MAX_COUNTED;
const hasMoreGroups = ({ groups }) => groups.length >= MAX_GROUPS;

// Whether the counts are those of the newest errors only.
const areNewestOnly = (overview) => !overview.complete && (!hasMoreGroups(overview) || hasAllThatAreCounted(overview));

function groupsTitle(groups, matches) {
  if (!groups) return "Groups";
  const shown = groups.filter(({ example }) => matches(example)).length;
  return shown === groups.length ? `Groups (${shown})` : `Groups (${shown} of ${groups.length})`;
}

const affected = (count, one, ids, Link) => (count === 1 && ids?.length ? h(Link, { id: ids[0] }) : plural(count, one));

function Groups({ groups, complete, matches, nothing }) {
  const shown = groups.filter(({ example }) => matches(example));
  const highest = Math.max(...groups.map(({ count }) => count));
  if (!shown.length)
    return h(
      Empty,
      { title: "No errors" },
      groups.length
        ? "No example of a group matches the search and the status code. “Newest first” searches all loaded errors."
        : nothing,
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
            { class: "text main" },
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

// Lists links after the text that names them.
const Links = ({ ids, Link }) => ids.map((id, index) => h(Fragment, { key: id }, index ? ", " : ": ", h(Link, { id })));

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
            h("strong", {}, plural(group.workflows, "affected workflow")),
            h(Links, { ids: group.workflowIds, Link: WorkflowLink }),
            group.workflows > group.workflowIds.length && " and others",
          ),
          h(
            "p",
            {},
            h("strong", {}, plural(group.users, "affected user")),
            h(Links, { ids: userIds, Link: UserLink }),
            userIds.length > 0 && group.users > userIds.length && " and others",
          ),
        )
      : !isLoading && h("p", { class: "quiet" }, "No error of this group in the time range."),
  );
}
