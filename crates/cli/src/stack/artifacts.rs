//! Kafka and the registry as folders of jars: fetched once by Maven, kept in a
//! cache outside the tree, shared by every stack of this user.
//!
//! A folder appears under its final name only when it is complete, so a name
//! that exists can be trusted, and a start without network takes seconds.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::{launch, progress, versions::version};

const KAFKA_POM: &str = include_str!("../../../../dev/kafka/pom.xml");
const REGISTRY_POM: &str = include_str!("../../../../dev/registry/pom.xml");
const CONNECT_POM: &str = include_str!("../../../../dev/connect/pom.xml");
/// For archives that name no parent: Maven wants a project to stand in.
const BARE_POM: &str = "<project><modelVersion>4.0.0</modelVersion><groupId>spina.dev</groupId>\
                        <artifactId>archive</artifactId><version>1</version><packaging>pom</packaging></project>";

/// Where the jars are.
#[derive(Debug)]
pub struct Artifacts {
    /// Every jar of the broker, its tools and Connect.
    pub kafka: PathBuf,
    /// The registry's application, unpacked.
    pub registry: PathBuf,
}

/// What a Connect worker needs.
#[derive(Debug)]
pub struct ConnectArtifacts {
    /// Every jar of the worker itself: it comes with the broker.
    pub worker: PathBuf,
    /// Folders with one sub-folder for each plugin.
    pub plugins: Vec<PathBuf>,
}

/// One folder of the cache: what it holds, and how Maven fills it.
struct Recipe {
    name: &'static str,
    version: &'static str,
    pom: &'static str,
    goal: &'static str,
    settings: Vec<String>,
    /// The sub-folder that the content is put into; none if empty.
    within: &'static str,
}

impl Artifacts {
    /// Finds both folders in the cache, or fetches what is missing.
    pub async fn ensure() -> Result<Self> {
        let cache = cache()?;
        let _one_maven_at_a_time = lock(&cache).await?;
        let registry = version("REGISTRY_VERSION")?;
        let kafka = Recipe::kafka()?;
        let registry = Recipe {
            name: "registry",
            version: registry,
            pom: REGISTRY_POM,
            goal: "unpack",
            settings: vec![
                format!("-Drevision={registry}"),
                format!("-Dartifact=io.apicurio:apicurio-registry-app:{registry}:tar.gz:all"),
            ],
            within: "",
        };
        Ok(Self { kafka: kafka.folder(&cache).await?, registry: registry.folder(&cache).await? })
    }
}

impl ConnectArtifacts {
    /// Finds everything in the cache, or fetches what is missing.
    pub async fn ensure() -> Result<Self> {
        let cache = cache()?;
        let _one_maven_at_a_time = lock(&cache).await?;
        let (source, sink) = (version("DEBEZIUM_POSTGRES_VERSION")?, version("DEBEZIUM_JDBC_VERSION")?);
        let converter = version("AVRO_CONVERTER_VERSION")?;
        let recipes = [
            Recipe::debezium("debezium-connector-postgres", source),
            Recipe::debezium("debezium-connector-jdbc", sink),
            Recipe {
                name: "avro-converter",
                version: converter,
                pom: CONNECT_POM,
                goal: "copy-dependencies",
                settings: vec![format!("-Dconverter.version={converter}")],
                within: "avro-converter",
            },
        ];
        let mut plugins = Vec::new();
        for recipe in &recipes {
            plugins.push(recipe.folder(&cache).await?);
        }
        Ok(Self { worker: Recipe::kafka()?.folder(&cache).await?, plugins })
    }
}

impl Recipe {
    fn kafka() -> Result<Self> {
        let version = version("KAFKA_VERSION")?;
        let settings = vec![format!("-Dkafka.version={version}")];
        Ok(Self { name: "kafka", version, pom: KAFKA_POM, goal: "copy-dependencies", settings, within: "" })
    }

    /// A connector as Debezium packs it: an archive with one folder.
    fn debezium(name: &'static str, version: &'static str) -> Self {
        let settings = vec![format!("-Dartifact=io.debezium:{name}:{version}:tar.gz:plugin")];
        Self { name, version, pom: BARE_POM, goal: "unpack", settings, within: "" }
    }

    async fn folder(&self, cache: &Path) -> Result<PathBuf> {
        // The recipe is part of the name, so that a changed recipe fetches anew.
        let recipe = Sha256::digest(format!("{}{}{:?}", self.pom, self.goal, self.settings));
        let name = format!("{}-{}-{:02x}{:02x}{:02x}", self.name, self.version, recipe[0], recipe[1], recipe[2]);
        let folder = cache.join(&name);
        if folder.is_dir() {
            return Ok(folder);
        }
        let since = Instant::now();
        progress::say(format_args!("fetching {} {} (once)", self.name, self.version));
        let draft = cache.join(format!("{name}.draft"));
        self.fetch(&draft).await?;
        fs::rename(draft.join("content"), &folder)
            .and_then(|()| fs::remove_dir_all(&draft))
            .with_context(|| format!("keep {}", folder.display()))?;
        progress::done(self.name, "fetched", since);
        Ok(folder)
    }

    async fn fetch(&self, draft: &Path) -> Result<()> {
        if draft.exists() {
            fs::remove_dir_all(draft).context("clear an unfinished download")?;
        }
        fs::create_dir_all(draft)
            .and_then(|()| fs::write(draft.join("pom.xml"), self.pom))
            .with_context(|| format!("write into {}", draft.display()))?;
        let plugin = version("MAVEN_DEPENDENCY_PLUGIN_VERSION")?;
        let goal = self.goal;
        let mut maven = Command::new(launch::program("mvn", &[])?);
        maven
            .current_dir(draft)
            .args(["--batch-mode", "--quiet"])
            .arg(format!("org.apache.maven.plugins:maven-dependency-plugin:{plugin}:{goal}"))
            .arg(format!("-DoutputDirectory={}", draft.join("content").join(self.within).display()))
            .args(&self.settings);
        launch::to_end(&format!("fetching {} with Maven", self.name), maven).await
    }
}

/// `$SPINA_CACHE`, or `~/.cache/spina`.
fn cache() -> Result<PathBuf> {
    let cache = match std::env::var_os("SPINA_CACHE") {
        Some(cache) => std::path::absolute(cache).context("find the folder of SPINA_CACHE")?,
        None => std::env::home_dir().context("find a home folder for the cache; set SPINA_CACHE")?.join(".cache/spina"),
    };
    fs::create_dir_all(&cache).with_context(|| format!("create {}", cache.display()))?;
    Ok(cache)
}

/// Maven's own repository is not safe for two downloads at once.
async fn lock(cache: &Path) -> Result<File> {
    let lock = File::create(cache.join("lock")).context("create the cache's lock")?;
    tokio::task::spawn_blocking(move || lock.lock().map(|()| lock))
        .await
        .context("wait for the cache's lock")?
        .context("lock the cache")
}
