//! Processes of functions: start-up, processor time and throttling.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use axum::body::Bytes;
use rustix::{
    process::{Pid, Signal, kill_process},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};
use tests::processes;

use crate::{
    aws::Aws,
    runtime::{Runtime, succeeded},
};

/// Binaries of the functions and their environment variables.
#[derive(Clone, Debug)]
pub struct Functions {
    /// Folder of the release binaries.
    pub folder: PathBuf,
    /// Environment variables that the template sets for every function.
    pub settings: Vec<(String, String)>,
}

impl Functions {
    /// Starts a function.
    pub fn start(&self, name: &str, runtime: &Runtime, aws: &str) -> Process {
        let mut command = Command::new(self.folder.join(name));
        command.env_clear().envs(self.settings.iter().cloned());
        command.envs([
            ("AWS_LAMBDA_RUNTIME_API", runtime.address.as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", name),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "bench"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "bench"),
            ("AWS_ENDPOINT_URL", aws),
        ]);
        let started = Instant::now();
        let child = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn();
        Process { child: child.unwrap_or_else(|error| panic!("failed to start {name}: {error}")), started }
    }

    /// Runs a program to completion on the machine's last core. Returns the content that it wrote
    /// to the file named by `ANSWER`.
    pub async fn run(&self, name: &str, aws: &Aws, arguments: &[&str]) -> String {
        let response = tempfile::NamedTempFile::new().expect("a temporary file");
        let mut command = tokio::process::Command::new(self.folder.join(name));
        command
            .env_clear()
            .envs(self.settings.iter().cloned())
            .env("AWS_ENDPOINT_URL", &aws.url)
            .env("ANSWER", response.path());
        let mut child =
            command.args(arguments).spawn().unwrap_or_else(|error| panic!("failed to start {name}: {error}"));
        if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            pin_to_last_core(pid);
        }
        assert!(child.wait().await.is_ok_and(|status| status.success()), "{name} failed");
        std::fs::read_to_string(response.path()).expect("an output file")
    }

    /// Starts a function and waits until it requests work.
    pub async fn ready(&self, name: &str, aws: &Aws) -> (Process, Runtime) {
        let mut runtime = Runtime::new().await.expect("a port is free");
        let process = self.start(name, &runtime, &aws.url);
        runtime.wait_for_next().await;
        (process, runtime)
    }
}

/// Process that is killed when this value is dropped.
pub struct Process {
    child: Child,
    /// Start time.
    pub started: Instant,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Restricts the process to the machine's last core.
    pub fn pin_to_last_core(&self) {
        pin_to_last_core(self.pid());
    }

    /// Returns the processor time of `times` invocations. Panics if one fails.
    pub async fn processor_time_of(&self, runtime: &mut Runtime, event: &Bytes, times: usize) -> Duration {
        let before = processor_time(self.child.id());
        for _ in 0..times {
            let response = runtime.invoke(event).await.1;
            assert!(succeeded(&response), "{}", String::from_utf8_lossy(&response));
        }
        processor_time(self.child.id()) - before
    }

    /// Returns the processor time since the start.
    pub fn processor_time(&self) -> Duration {
        processor_time(self.child.id())
    }

    /// Returns the memory that is in use, in megabytes.
    pub fn memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
        resident.and_then(|kilobytes| kilobytes.parse::<f64>().ok()).expect("a running process") / 1024.0
    }

    /// Limits the process to `share` of every 20 ms until the returned value is dropped, in the
    /// same way as Lambda shares cores.
    pub fn throttle(&self, share: Duration) -> Throttled {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let pid = self.pid();
        let thread = std::thread::spawn(move || {
            while stopped.try_recv() != Err(std::sync::mpsc::TryRecvError::Disconnected) {
                std::thread::sleep(share);
                let _ = kill_process(pid, Signal::STOP);
                std::thread::sleep(PERIOD.saturating_sub(share));
                let _ = kill_process(pid, Signal::CONT);
            }
        });
        Throttled { stop: Some(stop), thread: Some(thread) }
    }
}

/// Period with which Lambda shares cores.
const PERIOD: Duration = Duration::from_millis(20);

/// Process that is limited to a share of a core.
pub struct Throttled {
    stop: Option<std::sync::mpsc::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Throttled {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn pin_to_last_core(pid: Pid) {
    let allowed = sched_getaffinity(None).expect("the cores of this process");
    let last = (0..CpuSet::MAX_CPU).rev().find(|core| allowed.is_set(*core)).expect("at least one core");
    let mut cores = CpuSet::new();
    cores.set(last);
    sched_setaffinity(Some(pid), &cores).expect("permission to set the affinity");
}

/// Returns the processor time of a process, as counted by the scheduler in nanoseconds.
fn processor_time(id: u32) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let times = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(times.sum())
}

/// Returns the processor time of each process of a deployed function.
pub fn times_of_function(function: &str) -> BTreeMap<u32, Duration> {
    let processes = processes::of_function(function);
    assert!(!processes.is_empty(), "no process of {function} is running");
    processes.into_iter().map(|process| (process, processor_time(process))).collect()
}
