//! A small client of the schema registry's Confluent-compatible interface.
//!
//! Written against the Confluent Schema Registry API v7 as Apicurio Registry 3.0.9 speaks it under
//! `/apis/ccompat/v7`. Every call here is safe to repeat, registering included, so all of them are tried again after
//! connection errors, 429 and 5xx.

mod error;
mod incompatible;
mod transport;

use serde::Deserialize;
use serde_json::{Value, json};

pub use error::RegistryError;
use transport::{Method, Transport};

/// Most versions that are searched for the reason why a schema is not compatible.
const VERSIONS_LOOKED_AT_MAX: usize = 50;

/// The subject of a record in a topic: `<topic>-<full name>`, Confluent's `TopicRecordNameStrategy`.
pub fn subject(topic: &str, full_name: &str) -> String {
    format!("{topic}-{full_name}")
}

/// One version of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The id that frames carry; the same text has the same id under every subject.
    pub id: u32,
    /// Its number under the subject, from 1.
    pub version: u32,
    /// The schema's text.
    pub schema: String,
}

/// The registry. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct RegistryClient {
    transport: Transport,
}

impl RegistryClient {
    /// A client of the registry at `base_url`, for instance `http://127.0.0.1:18081/apis/ccompat/v7`. User and password
    /// in the URL are sent as basic authentication. Nothing is connected yet.
    ///
    /// # Errors
    /// When the URL is not an http(s) URL.
    pub fn new(base_url: &str) -> Result<Self, RegistryError> {
        Ok(Self { transport: Transport::new(base_url)? })
    }

    /// All subjects.
    pub async fn subjects(&self) -> Result<Vec<String>, RegistryError> {
        self.transport.call(Method::Get, &["subjects"], "list subjects").await
    }

    /// The version numbers of a subject, oldest first; empty when there is no such subject.
    pub async fn versions(&self, subject: &str) -> Result<Vec<u32>, RegistryError> {
        let what = format!("list versions of subject `{subject}`");
        let versions = self.transport.call(Method::Get, &["subjects", subject, "versions"], &what).await;
        Ok(if_found(versions)?.unwrap_or_default())
    }

    /// The newest version of a subject; `None` when there is no such subject.
    pub async fn latest(&self, subject: &str) -> Result<Option<Registered>, RegistryError> {
        self.registered(subject, "latest").await
    }

    /// A version of a subject by its number; `None` when there is no such subject or version.
    pub async fn version(&self, subject: &str, version: u32) -> Result<Option<Registered>, RegistryError> {
        self.registered(subject, &version.to_string()).await
    }

    async fn registered(&self, subject: &str, version: &str) -> Result<Option<Registered>, RegistryError> {
        let what = format!("read version {version} of subject `{subject}`");
        let path = ["subjects", subject, "versions", version];
        if_found(self.transport.call::<VersionBody>(Method::Get, &path, &what).await)?
            .map(|body| body.avro(&what))
            .transpose()
    }

    /// Registers a schema under a subject and gives its id. Registering the same text again changes nothing.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let what = format!("register a schema under subject `{subject}`");
        let path = ["subjects", subject, "versions"];
        let body: IdBody = self.transport.call(Method::Post(schema_body(schema)), &path, &what).await?;
        Ok(body.id)
    }

    /// Finds a schema under a subject; `None` when subject or schema is not there.
    pub async fn lookup(&self, subject: &str, schema: &str) -> Result<Option<Registered>, RegistryError> {
        let what = format!("look up a schema under subject `{subject}`");
        let path = ["subjects", subject];
        let found = self.transport.call::<VersionBody>(Method::Post(schema_body(schema)), &path, &what).await;
        if_found(found)?.map(|body| body.avro(&what)).transpose()
    }

    /// What keeps a schema from being the subject's next version; empty when nothing does, as with a subject that does
    /// not exist yet. The registry judges; where it gives no reasons, they are found here.
    pub async fn check_compatibility(&self, subject: &str, schema: &str) -> Result<Vec<String>, RegistryError> {
        let level = self.compatibility(subject).await?;
        // Confluent's registry picks the versions by the level. Apicurio always names one, and checks all versions or
        // the latest as the path says.
        let latest_only = level.as_ref().is_some_and(|level| !level.ends_with("_TRANSITIVE"));
        let verdict = self.judge(subject, schema, latest_only).await?;
        if verdict.is_compatible || !verdict.messages.is_empty() {
            return Ok(if verdict.is_compatible { Vec::new() } else { verdict.messages });
        }
        self.find_reasons(subject, schema, level.as_deref().unwrap_or_default(), latest_only).await
    }

    async fn judge(&self, subject: &str, schema: &str, latest_only: bool) -> Result<Verdict, RegistryError> {
        let what = format!("check a schema against subject `{subject}`");
        let mut path = vec!["compatibility", "subjects", subject, "versions"];
        if latest_only {
            path.push("latest");
        }
        let verdict = self.transport.call(Method::PostVerbose(schema_body(schema)), &path, &what).await;
        Ok(if_found(verdict)?.unwrap_or(Verdict { is_compatible: true, messages: Vec::new() }))
    }

    /// Finds the newest version that the schema does not go together with.
    async fn find_reasons(
        &self,
        subject: &str,
        schema: &str,
        level: &str,
        latest_only: bool,
    ) -> Result<Vec<String>, RegistryError> {
        let versions = self.versions(subject).await?;
        let looked_at = if latest_only { 1 } else { VERSIONS_LOOKED_AT_MAX };
        for number in versions.into_iter().rev().take(looked_at) {
            let Some(version) = self.version(subject, number).await? else { continue };
            let reasons = incompatible::reasons(&version, schema, level);
            if !reasons.is_empty() {
                return Ok(reasons);
            }
        }
        Ok(vec!["the registry finds it incompatible and gives no reason".to_owned()])
    }

    /// The compatibility level of a subject; `None` when there is no such subject, or (Confluent's registry) when its
    /// own level is not set. Apicurio answers `NONE` where none is set.
    pub async fn compatibility(&self, subject: &str) -> Result<Option<String>, RegistryError> {
        let what = format!("read the compatibility level of subject `{subject}`");
        let level = self.transport.call::<LevelBody>(Method::Get, &["config", subject], &what).await;
        Ok(if_found(level)?.map(|body| body.level))
    }

    /// Sets the compatibility level of a subject: `NONE`, `BACKWARD`, `FORWARD`, `FULL` or one with `_TRANSITIVE`.
    pub async fn set_compatibility(&self, subject: &str, level: &str) -> Result<(), RegistryError> {
        let what = format!("set the compatibility level of subject `{subject}`");
        let body = json!({ "compatibility": level });
        let _: Value = self.transport.call(Method::Put(body), &["config", subject], &what).await?;
        Ok(())
    }

    /// The text of a schema; `None` when the registry has no such id.
    pub async fn schema_by_id(&self, id: u32) -> Result<Option<String>, RegistryError> {
        let what = format!("read schema {id}");
        let found = self.transport.call::<SchemaBody>(Method::Get, &["schemas", "ids", &id.to_string()], &what).await;
        if_found(found)?.map(|body| body.avro(&what)).transpose()
    }
}

fn schema_body(schema: &str) -> Value {
    json!({ "schema": schema, "schemaType": "AVRO" })
}

fn if_found<T>(answer: Result<T, RegistryError>) -> Result<Option<T>, RegistryError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

#[derive(Deserialize)]
struct IdBody {
    id: u32,
}

#[derive(Deserialize)]
struct VersionBody {
    id: u32,
    version: u32,
    #[serde(flatten)]
    schema: SchemaBody,
}

impl VersionBody {
    fn avro(self, what: &str) -> Result<Registered, RegistryError> {
        Ok(Registered { id: self.id, version: self.version, schema: self.schema.avro(what)? })
    }
}

#[derive(Deserialize)]
struct SchemaBody {
    schema: String,
    /// Absent for Avro.
    #[serde(rename = "schemaType")]
    schema_type: Option<String>,
}

impl SchemaBody {
    fn avro(self, what: &str) -> Result<String, RegistryError> {
        match self.schema_type.as_deref() {
            None | Some("AVRO") => Ok(self.schema),
            Some(other) => {
                let reason = format!("it is a schema of type {other}, not AVRO");
                Err(RegistryError::Unreadable { what: what.to_owned(), reason })
            }
        }
    }
}

#[derive(Deserialize)]
struct Verdict {
    is_compatible: bool,
    #[serde(default)]
    messages: Vec<String>,
}

#[derive(Deserialize)]
struct LevelBody {
    #[serde(rename = "compatibilityLevel", alias = "compatibility")]
    level: String,
}

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
