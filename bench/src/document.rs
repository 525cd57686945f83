//! Writes docs/benchmarks.md, one function per section, and docs/benchmarks.json.

use std::process::Command;

use serde_json::json;
use tests::setting;

use crate::{
    figures::Spread,
    forwarding::{Forwarding, Recording},
    load::Load,
    local::{Arrival, OnBus, ROUNDS},
    requests::Warm,
    scale::Page,
    starts::{First, Start},
    sustained::{self, Sustained},
};

/// Marks the end of the generated part. The handwritten text after this line is kept.
const HANDWRITTEN_MARKER: &str = "<!-- written by hand from here on -->\n";

/// Returns the introduction and a description of the machine.
pub fn head() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    // The kernel reports the model on x86 only.
    let model = Some(model.trim_start_matches([':', '\t', ' '])).filter(|model| !model.is_empty());
    let model = model.unwrap_or(std::env::consts::ARCH);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "# Benchmarks\n\n`make bench` measures these figures on one machine without a cloud account and writes this page. Figures are medians ± half\n\
         the interquartile range. Ratios are measured in alternation within one run. Compare ratios rather than absolute figures,\n\
         because the speed of the machine affects both sides of a ratio equally. No test depends on a duration.\n\n\
         Machine: {model}, {cores} cores. \
         Date: {}. {}, {}, profile `{}`.\n",
        command_output("date", &["-u", "+%F"]),
        command_output("rustc", &["--version"]),
        command_output("uname", &["-sr"]),
        setting("TENON_PROFILE"),
    )
}

fn command_output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("failed to run {program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Measurements that the summary shows.
#[derive(Debug, Default)]
pub struct Measured {
    /// Cold starts.
    pub starts: Vec<Start>,
    /// Warm requests.
    pub warm: Vec<Warm>,
    /// Forwarding.
    pub forwarding: Vec<Forwarding>,
    /// Errors in the local AWS.
    pub loads: Vec<Load>,
    /// Errors at a constant rate.
    pub sustained: Vec<Sustained>,
}

/// Returns the summary: each goal with the measurement that belongs to it.
pub fn summary(Measured { starts, warm, forwarding, loads, sustained }: &Measured) -> String {
    let mut rows = Vec::new();
    let mut row = |what: &str, ours: String, baseline: String, ratio: String, goal: &str| {
        rows.push(format!("| {what} | {ours} | {baseline} | {ratio} | {goal} |\n"));
    };
    let hello = starts.iter().find(|start| start.kind.0 == "hello");
    for (name, what, goal) in [
        ("users_get", "Start of a function that reads a user", "at most 1.5"),
        ("forward_errors", "Start of the function that forwards errors", "at most 2"),
    ] {
        if let (Some(start), Some(hello)) = (starts.iter().find(|start| start.kind.0 == name), hello) {
            let baseline = format!("empty function: {} ms", hello.time);
            row(what, format!("{} ms", start.time), baseline, start.ratio.to_string(), goal);
        }
    }
    for (name, what) in [("users_get", "Read a user"), ("users_create", "Create a user")] {
        if let Some(Warm { cpu, minimal, ratio, .. }) = warm.iter().find(|warm| warm.name == name) {
            let baseline = format!("same AWS calls: {minimal} µs");
            row(what, format!("{cpu} µs"), baseline, ratio.to_string(), "at most 1.2");
        }
    }
    if let Some(Warm { cpu, item_ratio: Some(ratio), .. }) = warm.iter().find(|warm| warm.name == "errors_record") {
        let baseline = "same AWS calls with prepared items".to_owned();
        row("Record 100 errors", format!("{cpu} µs"), baseline, ratio.to_string(), "at most 1.4");
    }
    for (name, what) in [
        ("forward_errors", "Forward errors to a bus, 100 at a time"),
        ("deliver_webhooks", "Send errors to a webhook, 100 at a time"),
    ] {
        let found = forwarding.iter().find(|forwarding| forwarding.name == name);
        if let Some((Forwarding { rate, .. }, (minimal, baseline, ratio))) =
            found.and_then(|found| Some((found, found.comparison.last()?)))
        {
            let ours = format!("{rate} errors/s");
            row(what, ours, format!("{minimal}: {baseline} errors/s"), ratio.to_string(), "at least 0.95");
        }
    }
    for (errors, what, goal) in [
        (1, "Record and deliver an error, one per request, 16 clients", "at most 1,300 µs"),
        (100, "Record and deliver an error, 100 per request, 16 clients", "at most 150 µs"),
    ] {
        if let Some(Load { total, .. }) = loads.iter().find(|load| (load.errors, load.clients) == (errors, 16)) {
            row(what, format!("{total} µs"), String::new(), String::new(), goal);
        }
    }
    for Sustained { rate, webhooks, flow, lost, .. } in sustained {
        let what = format!("Ten minutes of {rate} errors/s, webhooks: {webhooks}");
        row(&what, format!("{lost} of {} lost", flow.recorded), String::new(), String::new(), "none lost");
    }
    format!(
        "\n## Summary\n\nProcessor time, except for starts. The sections below describe each measurement.\n\n\
         | what | Tenon | baseline | ratio | goal |\n|---|---|---|---|---|\n{}",
        rows.concat()
    )
}

/// Returns the section on cold starts.
pub fn starts(starts: &[Start]) -> String {
    let rows = starts
        .iter()
        .map(|Start { kind: (name, what), time, ratio }| format!("| `{name}` | {what} | {time} | {ratio} |\n"));
    format!(
        "\n## Cold start\n\nMilliseconds from the start of the process until it requests work from a Lambda Runtime API on loopback. Connections that a\n\
         function opens at start-up lead to an AWS on loopback that responds without delay and without TLS. `by_hand` is a handwritten\n\
         function with a DynamoDB client only, and `by_hand_forwarder` one with the clients that forwarding needs.\n\n\
         | function | description | ms | × `hello` |\n|---|---|---|---|\n{}",
        rows.collect::<String>()
    )
}

/// Returns the section on first requests.
pub fn first_requests(first: &[First]) -> String {
    let rows = first.iter().map(|First { name, time }| format!("| `{name}` | {time} |\n"));
    format!(
        "\n## First request\n\nMilliseconds of the first request of a process that may run for 2.5 ms of every 20 ms after it requested work, about as with\n\
         256 MB of memory, with TLS to an AWS on loopback. Time that the process spends waiting within its share is lost, which Lambda\n\
         does not count. `by_hand` opens its connection during its first request, as `users_get` would if it opened none at start-up.\n\n\
         | function | ms |\n|---|---|\n{}",
        rows.collect::<String>()
    )
}

/// Returns the section on warm requests, with the cost of a signature.
pub fn requests(warm: &[Warm], signature: &Spread) -> String {
    let rows = warm.iter().map(|Warm { name, cpu, minimal, ratio, item_ratio, calls }| {
        let item_ratio_text = item_ratio.map(|ratio| ratio.to_string()).unwrap_or_default();
        format!("| `{name}` | {cpu} | {minimal} | {ratio} | {item_ratio_text} | {} |\n", counted(calls))
    });
    format!(
        "\n## Warm requests\n\nProcessor time of a request in µs, its AWS calls, and the processor time of a minimal handler. The minimal handler makes the\n\
         same AWS calls sequentially with prepared bodies, ignores their responses, and returns a prepared response. Functions that make\n\
         concurrent calls can take less. If batches or transactions only put items, a second minimal handler starts from prepared items,\n\
         which the SDK serializes. The handlers that are compared with `errors_record` have its allocator.\n\n\
         | function | µs | minimal | × minimal | × minimal with items | AWS calls |\n|---|---|---|---|---|---|\n{}\n\
         A signature with ES256, including parsing of the key as in `users_token`, takes {signature} µs.\n",
        rows.collect::<String>()
    )
}

/// Returns the operations with their number of calls.
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

/// Returns the section on recording and forwarding.
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
        "\n## Recording and forwarding\n\nErrors per second of processor time that `errors_record` records:\n\n\
         | errors per request | errors per second |\n|---|---|\n{recorded}\n\
         Errors per second of processor time that are sent, including all bookkeeping, by the number of errors in an invocation. All\n\
         errors belong to one workflow and were recorded together. `minimal_forwarder` and `minimal_sender` are handwritten functions\n\
         that receive the same events and send the same requests. Their destination and keys are configured; they read no destinations\n\
         and record no results:\n\n\
         | function | errors | errors per second | baseline | errors per second | ratio |\n|---|---|---|---|---|---|\n{}\n\
         An invocation, in µs of processor time:\n\n\
         | function | errors | µs | AWS calls |\n|---|---|---|---|\n{}",
        rows.collect::<String>(),
        invocations.collect::<String>(),
    )
}

/// Returns the section on the processor time of the functions in the local AWS.
pub fn loads(loads: &[Load]) -> String {
    let rows = loads.iter().map(|Load { errors, clients, functions: [record, forward, deliver], total }| {
        format!("| {errors} | {clients} | {record} | {forward} | {deliver} | {total} |\n")
    });
    format!(
        "\n## Errors in the local AWS\n\nProcessor time of the functions' processes per error, in µs, from the request that records it to its delivery to one webhook.\n\
         Unlike in the measurements above, a process waits for each response, as on Lambda:\n\n\
         | errors per request | clients | `errors_record` | `forward_errors` | `deliver_webhooks` | total |\n|---|---|---|---|---|---|\n{}",
        rows.collect::<String>()
    )
}

/// Returns the section on errors at a constant rate.
pub fn sustained(measured: &[Sustained]) -> String {
    let rows = measured.iter().map(|sustained| {
        let Sustained { rate, webhooks, failing, flow, lost, .. } = sustained;
        let [median, late, longest] = [0.5, 0.99, 1.0].map(|part| sustained.lag(part).as_millis());
        let (recorded, arrived, pending) = (flow.recorded, flow.lags.len(), flow.pending);
        format!(
            "| {rate} | {webhooks} | {failing} | {recorded} | {arrived} | {pending} | {lost} | {median} | {late} | {longest} |\n"
        )
    });
    let processes = measured.iter().flat_map(|Sustained { webhooks, busy, memory, .. }| {
        sustained::FUNCTIONS.iter().zip(busy).zip(memory).map(move |((name, busy), (warm, at_end))| {
            format!("| {webhooks} | `{name}` | {:.0} % | {warm:.1} | {at_end:.1} |\n", busy * 100.0)
        })
    });
    format!(
        "\n## Errors at a constant rate\n\nTen minutes of requests with 100 errors each, through one process of each function. An AWS in memory on loopback passes\n\
         the errors on. Each error has one webhook; some webhooks have failed so often that deliveries to them only become pending. The lag\n\
         is the time in milliseconds from the scheduled start of a request until an error arrives at its webhook:\n\n\
         | errors/s | webhooks | failing | recorded | arrived | pending | lost | median lag | 99 % | longest |\n|---|---|---|---|---|---|---|---|---|---|\n{}\n\
         Processor time, and resident memory in MB after a minute and at the end:\n\n\
         | webhooks | function | of one core | after a minute | at the end |\n|---|---|---|---|---|\n{}",
        rows.collect::<String>(),
        processes.collect::<String>()
    )
}

/// Returns the section on arrival times in the local AWS.
pub fn arrivals(buses: &[OnBus], arrivals: &[Arrival]) -> String {
    let rows = arrivals.iter().map(|Arrival { destinations, stalled, time, slowest, slowest_read }| {
        let arrivals = (destinations - stalled) * ROUNDS;
        format!("| {destinations} | {stalled} | {arrivals} | {time} | {slowest:.0} | {slowest_read:.0} |\n")
    });
    let on_buses = buses.iter().map(|OnBus { by, time }| format!("| {by} | {time} |\n")).collect::<String>();
    format!(
        "\n## From record to arrival, and isolation\n\nMeasured in the local AWS, which handles one request at a time and accounts for most of the time. Milliseconds from the request\n\
         that records an error until the error is on a bus of the customer, and, for a minimal forwarder in place of `forward_errors`\n\
         on the same stream, until it is on a bus of the product's own account:\n\n\
         | by | ms |\n|---|---|\n{on_buses}\n\
         Milliseconds until healthy webhooks have received the error. Each environment has up to twenty webhooks. An error is recorded\n\
         in all environments at the same time, {ROUNDS} times, at least two seconds apart and after the previous one has arrived. The other\n\
         webhooks stall until they time out after 15 seconds. After five such failures, in about the second half of the rounds, they\n\
         receive occasional probes only. The last column is the longest time in which the local AWS read a missing item meanwhile:\n\n\
         | webhooks | stalled | arrivals | ms | slowest | slowest read |\n|---|---|---|---|---|---|\n{}",
        rows.collect::<String>()
    )
}

/// Returns the section on list pages.
pub fn scale(pages: &[Page]) -> String {
    let rows =
        pages.iter().map(|Page { what, there, units, time }| format!("| {what} | {there} | {units} | {time} |\n"));
    format!(
        "\n## Scale\n\nA page of 100 items in the local AWS: its read units, computed by DynamoDB's rules from the sizes of the items that are read,\n\
         and its milliseconds, which the local AWS determines.\n\n\
         | list | items | read units | ms |\n|---|---|---|---|\n{}",
        rows.collect::<String>()
    )
}

/// Returns the section on binary sizes.
pub fn sizes() -> String {
    let script = format!("{}/local/sizes.py", setting("TENON_ROOT"));
    let symbols = setting("TENON_SYMBOLS");
    format!(
        "\n## Size\n\nMegabytes of the binaries for this machine's architecture, and of the archives that are uploaded. `functions/sizes.toml`\n\
         contains the maximum for most functions, a larger one for those that use EventBridge, and those of packages. `make\n\
         package` enforces them, and `make check` if there is such a build.\n\n{}\n\n\
         The largest crates in `forward_errors`:\n\n{}\n",
        command_output(&setting("TENON_PYTHON"), &[&script, "table"]),
        command_output(&setting("TENON_PYTHON"), &[&script, "crates", &symbols]),
    )
}

/// Writes the measured invocations for local/cost.py, one per line.
pub fn write_invocations(
    Measured { starts: _, warm, forwarding, loads, sustained: _ }: &Measured,
) -> std::io::Result<()> {
    let requests = warm.iter().map(|Warm { name, cpu, calls, .. }| {
        json!({ "function": name, "cpuMicroseconds": cpu.median, "awsCalls": calls.len() })
    });
    let forwarders = forwarding.iter().map(|Forwarding { name, errors, cpu, calls, .. }| {
        json!({ "function": name, "errors": errors, "cpuMicroseconds": cpu.median, "awsCalls": calls.len() })
    });
    // With one client, an invocation has one error.
    let alone = loads.iter().filter(|load| (load.errors, load.clients) == (1, 1)).flat_map(|load| {
        let functions = ["errors_record", "forward_errors", "deliver_webhooks"].iter().zip(load.functions);
        functions.map(|(name, cpu)| json!({ "function": name, "errors": 1, "cpuMicroseconds": cpu.median }))
    });
    let lines: Vec<String> =
        requests.chain(forwarders).chain(alone).map(|invocation| format!("  {invocation}")).collect();
    std::fs::write(format!("{}/docs/benchmarks.json", setting("TENON_ROOT")), format!("[\n{}\n]\n", lines.join(",\n")))
}

/// Writes the page and keeps its handwritten part.
pub fn write(text: &str) -> std::io::Result<()> {
    let path = format!("{}/docs/benchmarks.md", setting("TENON_ROOT"));
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    let handwritten = before.split_once(HANDWRITTEN_MARKER).map_or("", |(_, handwritten)| handwritten);
    std::fs::write(path, format!("{text}\n{HANDWRITTEN_MARKER}{handwritten}"))
}
