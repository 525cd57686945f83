//! Processes of the functions in the local AWS.

use std::collections::HashSet;

use crate::setting;

/// Returns the ids of the processes of a function of this stack, such as `drain`.
pub fn of_function(function: &str) -> Vec<u32> {
    // Other stacks of the same name may run at the same time.
    let wanted = [
        format!("AWS_LAMBDA_FUNCTION_NAME=tenon-{function}"),
        format!("AWS_ENDPOINT_URL={}", setting("AWS_ENDPOINT_URL")),
    ];
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = processes.filter_map(|process| {
        let environment = std::fs::read(process.path().join("environ")).ok()?;
        let variables: HashSet<&[u8]> = environment.split(|byte| *byte == 0).collect();
        let is_of_function = wanted.iter().all(|variable| variables.contains(variable.as_bytes()));
        is_of_function.then(|| process.file_name().to_str()?.parse().ok())?
    });
    processes.collect()
}
