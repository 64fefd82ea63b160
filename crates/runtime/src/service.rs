//! The life of a service: config, logging, build, serve, drain.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use crate::config::{self, ConfigError, EXIT_CONFIG, ServiceConfig};
use crate::health::{Condition, Readiness};
use crate::http::{self, Api, StallLimit};
use crate::metrics::Metrics;
use crate::shutdown::{Shutdown, StopSignals};
use crate::tasks::Tasks;
use crate::telemetry;

/// Time that threads still in blocking calls get after everything else has ended.
const LEFTOVER_LIMIT: Duration = Duration::from_millis(100);

/// What a service is given to build itself from. Cheap to clone.
#[derive(Debug)]
pub struct Context<C> {
    /// Name of the service, such as `event-store`.
    pub service: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Its configuration, whole and checked.
    pub config: Arc<C>,
    /// Where it registers its metrics.
    pub metrics: Metrics,
    /// Where its components say how they are.
    pub readiness: Readiness,
    /// When it has to stop.
    pub shutdown: Shutdown,
    /// Where it starts its tasks.
    pub tasks: Tasks,
}

impl<C> Clone for Context<C> {
    fn clone(&self) -> Self {
        Self {
            service: self.service,
            version: self.version,
            config: self.config.clone(),
            metrics: self.metrics.clone(),
            readiness: self.readiness.clone(),
            shutdown: self.shutdown.clone(),
            tasks: self.tasks.clone(),
        }
    }
}

impl<C> Context<C> {
    /// A context around a configuration, for a process that has not started anything yet.
    #[must_use]
    pub fn new(service: &'static str, version: &'static str, config: C) -> Self {
        let shutdown = Shutdown::new();
        Self {
            service,
            version,
            config: Arc::new(config),
            metrics: Metrics::new(service, version),
            readiness: Readiness::new(),
            tasks: Tasks::new(shutdown.clone()),
            shutdown,
        }
    }
}

/// Runs a service from start to stop; `main` returns what this returns.
///
/// `build` wires the service: it starts tasks, states conditions that are not ready yet and returns the routes. It
/// should be quick, since nothing is served before it returns: slow work, such as reading a log, belongs in a task.
///
/// Exit status: 0 after an orderly stop, 1 if building or a task failed, 64 if the configuration cannot be used.
pub fn run<C, F, Fut>(service: &'static str, version: &'static str, build: F) -> ExitCode
where
    C: ServiceConfig + Send + Sync + 'static,
    F: FnOnce(Context<C>) -> Fut,
    Fut: Future<Output = anyhow::Result<Api>>,
{
    let config = match config::from_process::<C>(service, version) {
        Ok(config) => config,
        Err(status) => return status,
    };
    #[cfg(feature = "failpoints")]
    if let Err(error) = crate::failpoint::check() {
        return config::complain(service, &*error, EXIT_CONFIG);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return config::complain(service, &error, 1),
    };
    let status = runtime.block_on(live(Context::new(service, version, config), build));
    runtime.shutdown_timeout(LEFTOVER_LIMIT);
    status
}

/// Logging around everything that follows it.
async fn live<C, F, Fut>(context: Context<C>, build: F) -> ExitCode
where
    C: ServiceConfig,
    F: FnOnce(Context<C>) -> Fut,
    Fut: Future<Output = anyhow::Result<Api>>,
{
    let telemetry = match telemetry::init(context.service, &context.config.common().telemetry()) {
        Ok(guard) => guard,
        Err(error) => return config::complain(context.service, &error, EXIT_CONFIG),
    };
    let outcome = work(&context, build).await;
    let status = match &outcome {
        Ok(()) if !context.shutdown.has_failed() => 0,
        Ok(()) => 1,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "cannot start");
            if error.is::<ConfigError>() { EXIT_CONFIG } else { 1 }
        }
    };
    tracing::info!(service = context.service, status, "stopped");
    telemetry.flush().await;
    ExitCode::from(status)
}

/// Build, serve, drain.
async fn work<C, F, Fut>(context: &Context<C>, build: F) -> anyhow::Result<()>
where
    C: ServiceConfig,
    F: FnOnce(Context<C>) -> Fut,
    Fut: Future<Output = anyhow::Result<Api>>,
{
    use anyhow::Context as _;

    let common = context.config.common();
    #[expect(clippy::disallowed_methods, reason = "it must outlive the tasks to see a second signal")]
    tokio::spawn(StopSignals::listen().context("listen for signals")?.obey(context.shutdown.clone()));
    let listener = http::listen(common.http_listen).with_context(|| format!("bind {}", common.http_listen))?;
    let address = listener.local_addr().context("read the bound address")?;
    tracing::info!(service = context.service, version = context.version, %address, "starting");
    let built = context.shutdown.draining().run_until_cancelled(build(context.clone())).await;
    let result = match built {
        Some(Ok(api)) => {
            serve_until_drained(context, listener, api).await;
            Ok(())
        }
        Some(Err(error)) => Err(error.context("build the service")),
        // Told to stop while building.
        None => Ok(()),
    };
    stop_tasks(context).await;
    result
}

async fn serve_until_drained<C: ServiceConfig>(context: &Context<C>, listener: TcpListener, api: Api) {
    let common = context.config.common();
    let limits = common.http_limits();
    let router = api.into_router(&limits, &context.metrics, &context.readiness);
    let draining = context.shutdown.draining();
    let readiness = context.readiness.clone();
    let mark = async {
        draining.cancelled().await;
        readiness.set("shutdown", Condition::not_ready("the process is stopping"));
    };
    // Requests get half of the time, the tasks behind them the rest.
    let grace = common.drain() / 2;
    let cut_off = context.metrics.counter("http_clients_cut_off", "clients cut off because they took nothing");
    let stall = StallLimit { limit: limits.stall, cut_off };
    let serve = http::serve(listener, router, limits.connections_max, stall, context.shutdown.draining(), grace);
    let (all_ended, ()) = tokio::join!(serve, mark);
    if !all_ended {
        tracing::warn!("requests still ran after {} ms and were cut off", grace.as_millis());
    }
}

async fn stop_tasks<C: ServiceConfig>(context: &Context<C>) {
    let started = Instant::now();
    context.shutdown.stop_tasks();
    let late = context.tasks.drain(context.config.common().drain() / 2).await;
    if !late.is_empty() {
        tracing::warn!(tasks = late.join(", "), "tasks still ran after {:?} and were cut off", started.elapsed());
    }
}
