//! Writes a module for each function, with the source of its own binary, and the function that
//! starts one of them.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let sources = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../functions/src/bin");
    println!("cargo::rerun-if-changed={}", sources.display());
    let (mut modules, mut arms) = (String::new(), String::new());
    for source in fs::read_dir(&sources)? {
        let path = source?.path();
        let name = path.file_stem().ok_or("not a source file")?.display().to_string();
        modules += &format!("#[path = {path:?}]\nmod {name};\n");
        arms += &format!("        {name:?} => Some({name}::main),\n");
    }
    let find =
        format!("fn find(name: &str) -> Option<Main> {{\n    match name {{\n{arms}        _ => None,\n    }}\n}}\n");
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("functions.rs"), modules + &find)?;
    Ok(())
}
