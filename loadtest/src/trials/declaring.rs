//! Declarations of a trial's own, in a folder of its own.

use std::fs;
use std::path::Path;

use anyhow::Context;

/// Writes files below `folder`, and copies what we declare in these folders of `schemas/`.
pub fn write(
    folder: &Path,
    schemas_of: &[&str],
    files: impl IntoIterator<Item = (String, String)>,
) -> anyhow::Result<()> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas");
    for context in schemas_of {
        let to = folder.join("schemas").join(context);
        fs::create_dir_all(&to).context("make a folder for schemas")?;
        for file in fs::read_dir(ours.join(context)).context("read the schemas")? {
            let file = file.context("read the schemas")?;
            fs::copy(file.path(), to.join(file.file_name())).context("copy a schema")?;
        }
    }
    for (name, text) in files {
        let file = folder.join(name);
        fs::create_dir_all(file.parent().context("find a file's folder")?).context("make a folder")?;
        fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(())
}
