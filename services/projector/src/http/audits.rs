//! Holding a model against the log.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use spina_runtime::{ApiError, ApiJson, ApiPath, ApiQuery, ApiResult};
use utoipa::{IntoParams, ToSchema};

use super::Served;
use super::error::{from_command, from_store};
use crate::project::{AuditError, Choice, Drift, token_before};

/// Rows chosen from the log, and from the table, unless the query says otherwise.
const KEYS: u32 = 100;
/// Most of them.
const KEYS_MAX: u32 = 10_000;

/// What to look at.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// So many rows chosen from the log, and as many from the table; 1 to 10000, 100 by default.
    keys: Option<u32>,
    /// The same seed chooses the same rows of the same log.
    seed: Option<u64>,
    /// Replace the rows that are not what the log says.
    repair: Option<bool>,
}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Report {
    /// How far the table was with the events of its own context, as a token.
    checkpoint: String,
    /// The same for each context that it reads, its own first.
    checkpoints: Vec<String>,
    /// Rows that were compared.
    rows: usize,
    /// Rows that could not be folded anew: their sums leave the range in the order of the audit.
    unsure: usize,
    /// Those that are not what the log says.
    drift: Vec<DriftView>,
    /// Those of them that were replaced.
    repaired: usize,
}

/// A row that is not what the log says, with the columns that only the folds need.
#[derive(Debug, Serialize, ToSchema)]
struct DriftView {
    /// As the table has it; null if it does not.
    #[schema(value_type = Option<Object>)]
    table: Option<Map<String, Value>>,
    /// As the events make it; null if they do not.
    #[schema(value_type = Option<Object>)]
    log: Option<Map<String, Value>>,
}

/// Hold a model against the log
///
/// Rows chosen at random are folded anew from the first event to the table's checkpoint, without events that are parked, and
/// compared as the database keeps them. So a model that goes on meanwhile shows no difference. It reads the log twice. With
/// `repair` the rows that differ are replaced between two batches of the model, as the log makes them up to there.
#[utoipa::path(post, path = "/v1/projections/{context}/{model}/audit", tag = "projections",
    params(("context", description = "Bounded context"), ("model", description = "Read model"), Asked),
    responses((status = 200, body = Report), (status = 404, description = "`resource.not_found`"),
        (status = 409, description = "`state.conflict`: it is being audited, its definition has changed, the log forgets, or \
            letters were settled while rows were to be replaced"),
        (status = 503, description = "`state.unavailable`")))]
pub(super) async fn audit(
    State(served): State<Served>,
    ApiPath((context, model)): ApiPath<(String, String)>,
    ApiQuery(asked): ApiQuery<Asked>,
) -> ApiResult<ApiJson<Report>> {
    let (handle, _) = served.model(&context, &model)?;
    let keys = asked.keys.unwrap_or(KEYS);
    if !(1..=KEYS_MAX).contains(&keys) {
        return Err(ApiError::malformed("validation.query", format!("keys is 1 to {KEYS_MAX}")));
    }
    let auditor = handle.auditor.get().ok_or_else(|| ApiError::unavailable("the model is starting", 1))?;
    let choice = Choice::Sample { keys, seed: asked.seed.unwrap_or(1) };
    let audit = served.draining.run_until_cancelled(auditor.audit(choice, asked.repair.unwrap_or(false))).await;
    let audited = audit.ok_or_else(|| ApiError::unavailable("the process is stopping", 1))?.map_err(from_audit)?;
    let part = |at| handle.inputs.part(at, &audited.next_offsets);
    let tokens = handle.inputs.iter().enumerate().map(|(at, input)| token_before(&input.topic, part(at)).to_string());
    let checkpoints: Vec<String> = tokens.collect();
    let view = |drift: Drift| DriftView { table: drift.table, log: drift.log };
    let drift = audited.drift.into_iter().map(view).collect();
    let (rows, unsure, repaired) = (audited.rows, audited.unsure, audited.mended);
    let checkpoint = checkpoints.first().cloned().unwrap_or_default();
    Ok(ApiJson(Report { checkpoint, checkpoints, rows, unsure, drift, repaired }))
}

fn from_audit(error: AuditError) -> ApiError {
    match error {
        AuditError::Busy | AuditError::NotNow(_) => ApiError::conflict(error.to_string()),
        AuditError::Store(error) => from_store(error),
        AuditError::Mend(error) => from_command(error),
        AuditError::Pass(_) => ApiError::unavailable(error.to_string(), 1),
    }
}
