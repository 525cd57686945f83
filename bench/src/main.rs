//! `make bench`: how fast functions start, what a warm request costs, and how large they are, on this machine, beside the
//! smallest function that there is. It plays the Lambda Runtime API and a DynamoDB that answers at once, on loopback.
//!
//! The figures are compared with each other within one run, and decide no test.

mod fakes;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use fakes::{Aws, Runtime};
use flate2::{Compression, write::DeflateEncoder};
use serde_json::Value;

/// How often a process is started.
const STARTS: usize = 41;
/// How many requests a process answers.
const REQUESTS: usize = 2000;

/// What is measured: the name of a binary, and the event file that it is asked with.
const FUNCTIONS: [(&str, Option<&str>); 8] = [
    ("hello", Some("users_get")),
    ("minimal", Some("users_get")),
    ("users_get", Some("users_get")),
    ("users_create", Some("users_create")),
    ("errors_record", Some("errors_record")),
    ("errors_list", Some("errors_list")),
    ("forward_errors", None),
    ("console", Some("console")),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [binaries, events, document] = &arguments[..] else {
        return Err("usage: bench BINARIES EVENTS DOCUMENT".into());
    };
    let (binaries, events) = (Path::new(binaries), Path::new(events));
    let aws = Aws::start()?;
    let mut rows = Vec::new();
    // In turns, so that what else the machine does meets all of them.
    let mut starts: Vec<Vec<Duration>> = FUNCTIONS.iter().map(|_| Vec::new()).collect();
    for _ in 0..STARTS {
        for ((name, _), starts) in FUNCTIONS.iter().zip(&mut starts) {
            starts.push(start(&binaries.join(name), &aws)?);
        }
    }
    for ((name, event), starts) in FUNCTIONS.iter().zip(&mut starts) {
        let (median, spread) = median(starts);
        let warm = match event {
            Some(event) => Some(warm(&binaries.join(name), &events.join(format!("{event}.json")), &aws)?),
            None => None,
        };
        rows.push(Row { name, start: median, spread, warm, size: size(&binaries.join(name))? });
    }
    let table = table(&rows);
    let text = format!("{}{table}", head());
    fs::write(document, &text)?;
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

struct Row {
    name: &'static str,
    start: Duration,
    spread: Duration,
    warm: Option<Warm>,
    size: (u64, u64),
}

/// What a warm request costs.
struct Warm {
    cpu: Duration,
    calls: f64,
}

/// The time from a process's start to its first request for work.
fn start(binary: &Path, aws: &Aws) -> Result<Duration, Box<dyn std::error::Error>> {
    let runtime = Runtime::new()?;
    let started = Instant::now();
    let mut child = run(binary, &runtime, aws)?;
    let ready = runtime.asked_for_work()?;
    child.kill()?;
    child.wait()?;
    Ok(ready - started)
}

/// The processor time and the AWS calls of a request, of many that one process answers.
fn warm(binary: &Path, event: &PathBuf, aws: &Aws) -> Result<Warm, Box<dyn std::error::Error>> {
    let runtime = Runtime::new()?;
    let mut child = run(binary, &runtime, aws)?;
    let event: Value = serde_json::from_slice(&fs::read(event)?)?;
    let event = event.to_string();
    let mut served = runtime.serve()?;
    served.answer(&event, 50)?;
    aws.calls();
    let before = processor_time(&child)?;
    served.answer(&event, REQUESTS)?;
    let cpu = (processor_time(&child)? - before) / REQUESTS as u32;
    let calls = aws.calls() as f64 / REQUESTS as f64;
    child.kill()?;
    child.wait()?;
    Ok(Warm { cpu, calls })
}

fn run(binary: &Path, runtime: &Runtime, aws: &Aws) -> std::io::Result<Child> {
    Command::new(binary)
        .env_clear()
        .envs([
            ("AWS_LAMBDA_RUNTIME_API", runtime.address.as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "bench"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "bench"),
            ("AWS_ENDPOINT_URL", aws.url.as_str()),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            ("DIRECTORY_TABLE", "Directory"),
            ("ERRORS_TABLE", "Errors"),
            ("DESTINATIONS_KEY", "alias/destinations"),
            ("RETENTION_DAYS", "30"),
            ("STACK", "bench"),
            ("WEBHOOK_PORTS", "443"),
            ("WEBHOOK_LOOPBACK", "false"),
            ("WEBHOOKS_QUEUE", "http://127.0.0.1:9/webhooks"),
            ("DRAINS_QUEUE", "http://127.0.0.1:9/drains"),
            ("FORWARD_FAILURES_QUEUE", "http://127.0.0.1:9/failures"),
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

/// The processor time that a process has had, by the kernel's clock of 100 ticks a second.
fn processor_time(child: &Child) -> Result<Duration, Box<dyn std::error::Error>> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id()))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    Ok(Duration::from_millis((ticks(11) + ticks(12)) * 10))
}

/// The bytes of a binary, and of what is uploaded of it.
fn size(binary: &Path) -> std::io::Result<(u64, u64)> {
    let bytes = fs::read(binary)?;
    let mut zipped = DeflateEncoder::new(Vec::new(), Compression::default());
    zipped.write_all(&bytes)?;
    Ok((bytes.len() as u64, zipped.finish()?.len() as u64))
}

/// The median, and half the distance between the quartiles.
fn median(times: &mut [Duration]) -> (Duration, Duration) {
    times.sort();
    let at = |part: f64| times.get((times.len() as f64 * part) as usize).copied().unwrap_or_default();
    (at(0.5), (at(0.75) - at(0.25)) / 2)
}

fn head() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches([':', '\t', ' ']);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let version = Command::new("rustc").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    format!(
        "# Benchmarks\n\n`make bench` makes this page. Machine: {model}, {cores} cores; {}; {}.\n\n\
         *Start*: from the start of the process to its first request for work, against a Lambda Runtime API on loopback; the\n\
         median of {STARTS} starts and half the distance between the quartiles, and how many times that of `hello`, the smallest\n\
         function that the same library and profile make. Functions open their connection to DynamoDB meanwhile, which answers at\n\
         once, without TLS. *Warm*: processor time of a request, of {REQUESTS} that one process answers, and its AWS calls.\n\
         `minimal` reads one item by hand. *Size*: the binary, and compressed.\n\n",
        String::from_utf8_lossy(&version).trim(),
        tenon::domain::timestamp::Timestamp::now().day().as_str(),
    )
}

fn table(rows: &[Row]) -> String {
    let base = rows.first().map_or(1.0, |row| row.start.as_secs_f64());
    let mut table = String::from(
        "| function | start | × hello | warm CPU | AWS calls | size | zipped |\n|---|---|---|---|---|---|---|\n",
    );
    for Row { name, start, spread, warm, size: (bytes, zipped) } in rows {
        let ms = |time: &Duration| time.as_secs_f64() * 1000.0;
        let mb = |bytes: &u64| *bytes as f64 / 1e6;
        let (cpu, calls) = warm.as_ref().map_or(("–".into(), "–".into()), |warm| {
            (format!("{:.0} µs", warm.cpu.as_secs_f64() * 1e6), format!("{:.1}", warm.calls))
        });
        table += &format!(
            "| `{name}` | {:.1} ms ± {:.1} | {:.2} | {cpu} | {calls} | {:.1} MB | {:.1} MB |\n",
            ms(start),
            ms(spread),
            start.as_secs_f64() / base,
            mb(bytes),
            mb(zipped)
        );
    }
    table
}
