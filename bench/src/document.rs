//! docs/benchmarks.md.

use std::process::Command;

use tests::setting;

use crate::{
    figures::Spread,
    forwarding::{Forwarding, Recording},
    local::{Arrival, OnBus, ROUNDS},
    requests::Warm,
    scale::Page,
    starts::{First, Start},
};

/// What stands after this line is written by hand, and stays.
const HANDWRITTEN_MARKER: &str = "<!-- written by hand from here on -->\n";

/// The machine, and how this is read.
pub fn head() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    // Only on x86 the kernel tells the model.
    let model = Some(model.trim_start_matches([':', '\t', ' '])).filter(|model| !model.is_empty());
    let model = model.unwrap_or(std::env::consts::ARCH);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "# Benchmarks\n\n`make bench` measures this on one machine, without a cloud account, and writes this page. Figures are \
         medians ± half the\ndistance between the quartiles; ratios are taken side by side, turn by turn, in one run, and are what \
         is to be compared: a machine's\nown speed is in all of them. No test looks at a clock.\n\nMachine: {model}, {cores} cores. \
         Date: {}. {}, {}, release profile.\n",
        command_output("date", &["-u", "+%F"]),
        command_output("rustc", &["--version"]),
        command_output("uname", &["-sr"]),
    )
}

fn command_output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program} does not run: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The starts.
pub fn starts(starts: &[Start]) -> String {
    let rows = starts
        .iter()
        .map(|Start { kind: (name, what), time, ratio }| format!("| `{name}` | {what} | {time} | {ratio} |\n"));
    format!(
        "\n## Cold start\n\nMilliseconds from the start of the process until it asks a Lambda Runtime API on loopback for work. \
         The connections that a function\nopens meanwhile lead to an AWS that answers at once, without TLS. `by_hand` is a function with \
         DynamoDB's client alone, written by hand,\nand `by_hand_forwarder` one with the clients that forwarding needs.\n\n| function | what it is | ms | × `hello` |\n|---|---|---|---|\n{}",
        rows.collect::<String>()
    )
}

/// The first requests.
pub fn first_requests(first: &[First]) -> String {
    let rows = first.iter().map(|First { name, time }| format!("| `{name}` | {time} |\n"));
    format!(
        "\n## First request\n\nMilliseconds of the first request of a process that may run 2.5 ms of each 20 ms \
         since it asked for work, about\nas with 256 MB (what it waits in its turn is lost, which Lambda does not count), over TLS to an AWS on loopback. `by_hand` opens its \
         connection with its first request, as `users_get` would if\nit opened none at start-up.\n\n| function | ms |\n|---|---|\n{}",
        rows.collect::<String>()
    )
}

/// The warm requests, and what a signature takes.
pub fn requests(warm: &[Warm], signature: &Spread) -> String {
    let rows = warm.iter().map(|Warm { name, cpu, minimal, ratio, item_ratio, calls }| {
        let item_ratio_text = item_ratio.map(|ratio| ratio.to_string()).unwrap_or_default();
        format!("| `{name}` | {cpu} | {minimal} | {ratio} | {item_ratio_text} | {} |\n", counted(calls))
    });
    format!(
        "\n## Warm requests\n\nProcessor time of a request in µs, its AWS calls, and the processor time of a minimal handler: it \
         makes the same AWS calls one after the\nother, with bodies that are there from the beginning, makes nothing of their answers, \
         and answers what it was told to. Functions that make calls at once\ncan be below it. Where batches or transactions do nothing \
         but put items, a second one has\nthe items from the beginning, of which the SDK writes a copy.\n\n| function | µs | minimal | × minimal | × that of \
         items | AWS calls |\n|---|---|---|---|---|---|\n{}\nA signature with ES256, with its key read as `users_token` does, takes {signature} µs.\n",
        rows.collect::<String>()
    )
}

/// Operations with how often each is called.
fn counted(calls: &[String]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for call in calls {
        match counts.iter_mut().find(|(name, _)| name == call) {
            Some((_, count)) => *count += 1,
            None => counts.push((call, 1)),
        }
    }
    let names: Vec<String> = counts
        .iter()
        .map(|(name, count)| if *count == 1 { (*name).to_owned() } else { format!("{count} {name}") })
        .collect();
    if names.is_empty() { "0".into() } else { format!("{}: {}", calls.len(), names.join(", ")) }
}

/// Recording and forwarding.
pub fn forwarding(recording: &[Recording], forwarding: &[Forwarding]) -> String {
    let recorded =
        recording.iter().map(|Recording { errors, rate }| format!("| {errors} | {rate} |\n")).collect::<String>();
    let rows = forwarding.iter().flat_map(|Forwarding { name, errors, rate, comparison, .. }| {
        comparison.iter().map(move |(what, baseline, ratio)| {
            format!("| `{name}` | {errors} | {rate} | {what} | {baseline} | {ratio} |\n")
        })
    });
    let invocations = forwarding.iter().map(|Forwarding { name, errors, cpu, calls, .. }| {
        format!("| `{name}` | {errors} | {cpu} | {} |\n", counted(calls))
    });
    format!(
        "\n## Recording and forwarding\n\nErrors for each second of a core's time that `errors_record` takes:\n\n| errors a request \
         | errors a second |\n|---|---|\n{recorded}\nErrors for each second of a core's time that are sent, with all bookkeeping, by how \
         many an invocation has; all are of\none workflow and were recorded together. `minimal_forwarder` and `minimal_sender` are functions written by hand \
         that are given the same events and\nsend the same; they know where to and with which keys, and neither ask for destinations nor write anything down:\n\n| function | errors | errors a second | comparison | errors a second | ratio \
         |\n|---|---|---|---|---|---|\n{}\nAn invocation, in µs of processor time:\n\n| function | errors | µs | AWS calls \
         |\n|---|---|---|---|\n{}",
        rows.collect::<String>(),
        invocations.collect::<String>(),
    )
}

/// The stack in the local AWS.
pub fn arrivals(buses: &[OnBus], arrivals: &[Arrival]) -> String {
    let rows = arrivals.iter().map(|Arrival { destinations, stalled, time, slowest, slowest_read }| {
        let arrivals = (destinations - stalled) * ROUNDS;
        format!("| {destinations} | {stalled} | {arrivals} | {time} | {slowest:.0} | {slowest_read:.0} |\n")
    });
    let on_buses = buses.iter().map(|OnBus { by, time }| format!("| {by} | {time} |\n")).collect::<String>();
    format!(
        "\n## From record to arrival, and isolation\n\nIn the local AWS, which does one thing at a time: so most of it is its. \
         Milliseconds from the request that records an error until it is on\na customer's bus, and then, of a minimal forwarder in its \
         place on the same stream, until it is on one of the product's own account:\n\n\
         | by | ms |\n|---|---|\n{on_buses}\nAnd until the webhooks that take it have it, of environments with up to \
         twenty each. An error is recorded in all of them at the same time, \
         {ROUNDS} times,\nat least two seconds apart and after the last one has arrived. The others stall until they are timed out after 15 seconds; after \
         five such failures,\nin about the second half of the rounds, they are only tried now and then. Beside it, the longest that the \
         local AWS takes meanwhile to read\nan item that is not there:\n\n\
         | webhooks | of which stall | arrivals | ms | slowest | slowest read |\n|---|---|---|---|---|---|\n{}",
        rows.collect::<String>()
    )
}

/// Pages.
pub fn scale(pages: &[Page]) -> String {
    let rows =
        pages.iter().map(|Page { what, there, units, time }| format!("| {what} | {there} | {units} | {time} |\n"));
    format!(
        "\n## Scale\n\nA page of a hundred in the local AWS: its read units, by DynamoDB's rules from the sizes of what is read, \
         and milliseconds, which are\nthose of the local AWS: it looks through the whole table for each query.\n\n| of | there are | read units | ms |\n|---|---|---|---|\n{}",
        rows.collect::<String>()
    )
}

/// The sizes.
pub fn sizes() -> String {
    let script = format!("{}/local/sizes.py", setting("TENON_ROOT"));
    let symbols = setting("TENON_SYMBOLS");
    format!(
        "\n## Size\n\nMegabytes of the binaries of this machine's architecture, and as they are uploaded. `functions/sizes.toml` \
         holds the most that each may\nhave, and `make check` holds a release build to it.\n\n{}\n\nThe crates that fill most of \
         `forward_errors`:\n\n{}\n",
        command_output(&setting("TENON_PYTHON"), &[&script, "table"]),
        command_output(&setting("TENON_PYTHON"), &[&script, "crates", &symbols]),
    )
}

/// Writes the page, and keeps what is written by hand.
pub fn write(text: &str) -> std::io::Result<()> {
    let path = format!("{}/docs/benchmarks.md", setting("TENON_ROOT"));
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    let handwritten = before.split_once(HANDWRITTEN_MARKER).map_or("", |(_, handwritten)| handwritten);
    std::fs::write(path, format!("{text}\n{HANDWRITTEN_MARKER}{handwritten}"))
}
