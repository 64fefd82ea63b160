//! Who is told what becomes of passengers, while the demo runs: takes notices, and fails now and then.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Every so many notices one is not taken, the first time.
const FAILS_EVERY: u64 = 7;
/// File in the stack's folder that has the port: bookings name it, so every demo listens there.
const PORT_FILE: &str = "notices.port";

/// See the [module](self). Dropping it ends it.
#[derive(Debug)]
pub struct Notices {
    /// Its base URL: notices go to `/notices` below it, those that nobody takes to `/refused`.
    pub base: String,
    serving: JoinSet<std::io::Result<()>>,
}

impl Notices {
    /// Listens where the demo before has, or on a free port.
    pub async fn serve(stack_dir: &Path) -> Result<Self> {
        let file = stack_dir.join(PORT_FILE);
        let known = match tokio::fs::read_to_string(&file).await {
            Ok(text) => Some(text.trim().parse::<u16>().with_context(|| format!("read {}", file.display()))?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("read {}", file.display())),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, known.unwrap_or(0))).await;
        let listener = listener.with_context(|| format!("take notices on the port in {}", file.display()))?;
        let port = listener.local_addr().context("find our port")?.port();
        tokio::fs::write(&file, port.to_string()).await.with_context(|| format!("write {}", file.display()))?;
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, routes()).await });
        Ok(Self { base: format!("http://127.0.0.1:{port}"), serving })
    }

    /// Takes no more of them.
    pub async fn end(mut self) {
        self.serving.shutdown().await;
    }
}

fn routes() -> Router {
    let taken = Arc::new(AtomicU64::new(1));
    let take = move || {
        let fails = taken.fetch_add(1, Ordering::Relaxed).is_multiple_of(FAILS_EVERY);
        async move { if fails { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK } }
    };
    Router::new().route("/notices", post(take)).route("/refused", post(async || StatusCode::GONE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn notices_are_taken_now_and_then_not_and_again_at_the_same_place() {
        let dir = tempfile::tempdir().unwrap();
        let notices = Notices::serve(dir.path()).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let post =
            async |path: &str| client.post(format!("{}{path}", notices.base)).send().await.unwrap().status().as_u16();
        assert_eq!(post("/refused").await, 410);
        let mut statuses = Vec::new();
        for _ in 0..7 {
            statuses.push(post("/notices").await);
        }
        assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 503]);
        let base = notices.base.clone();
        notices.end().await;
        assert_eq!(Notices::serve(dir.path()).await.unwrap().base, base);
    }
}
