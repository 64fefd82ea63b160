//! What event-stores ask each other about unique values. It is not part of the public API: without the header of a
//! forwarded request nothing is answered.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use spina_runtime::{ApiError, ApiJson, ApiPath, ApiResult};

use crate::contexts::Contexts;
use crate::forward::{Asked, FORWARDED_BY};
use crate::unique::{self, Answer};

/// Answers about a stream of a partition of this process. Never asked on.
pub async fn answer(
    State(contexts): State<Contexts>,
    ApiPath(context): ApiPath<String>,
    headers: HeaderMap,
    ApiJson(asked): ApiJson<Asked>,
) -> ApiResult<Json<Answer>> {
    if !headers.contains_key(FORWARDED_BY) {
        return Err(ApiError::forbidden(
            "claims are between event-stores; append to the stream that is to hold the value",
        ));
    }
    let context = contexts.get(&context)?;
    unique::answer(&context, &asked.stream, asked.question).await.map(Json)
}
