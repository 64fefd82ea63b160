//! Nasty case 16 on real flights: a projector killed again and again while they are imported. Every row is exact, by figures
//! that another program computes from the flights alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use spina_tests::database::Database;
use spina_tests::eventually_within;
use spina_tests::flights::{self, verify_models};
use spina_tests::gate::rng::Rng;
use spina_tests::http::Http;
use spina_tests::world::World;

use crate::imports;

const MODELS: [&str; 4] = ["carrier_punctuality", "airport_day", "flight_status", "aircraft"];
/// How often the projector is killed; `SPINA_TEST_KILLS=100` asks for more.
const KILLS: usize = 5;
/// Longest that import and read models may go on without progress.
const STALLED: Duration = Duration::from_secs(300);

/// The lines to import, in a file, and the days they are of: some days, or with `SPINA_TEST_YEAR` all of the year, as
/// `spina demo` has prepared them.
fn lines(world: &World) -> (PathBuf, Option<u32>) {
    if std::env::var_os("SPINA_TEST_YEAR").is_none() {
        return (imports::file(world, &imports::lines()), Some(flights::days()));
    }
    let prepared = |path: &PathBuf| path.to_string_lossy().ends_with("-year.ndjson");
    let files = fs::read_dir(flights::cache()).unwrap().map(|entry| entry.unwrap().path());
    (files.filter(prepared).max().expect("`spina demo` has prepared the year once"), None)
}

/// The lines cut into so many parts of about the same size, one after the other.
fn cut(file: &Path, parts: usize) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    lines.chunks(lines.len().div_ceil(parts)).map(|part| part.join("\n")).collect()
}

/// How far the models are, all together, in records of the log.
async fn progress(database: &Database, world: &World) -> u64 {
    let sum = "SELECT coalesce(sum(next), 0)::bigint FROM spina.models, unnest(next_offsets) next \
        WHERE context = $1 AND slot = 'live'";
    let row = database.query_one(sum, &[&world.context.name]).await.unwrap();
    u64::try_from(row.get::<_, i64>(0)).unwrap()
}

/// Imports a part and kills the projector when it has begun to apply it. Only then does the next part come, so that no kill
/// hits a projector that is idle.
async fn import_and_kill(world: &mut World, database: &Database, part: &Path, rng: &mut Rng) {
    let before = progress(database, world).await;
    let importing = world.spina().args(["import", "--context", &world.context.name]).arg(part).spawn();
    eventually_within(STALLED, "the models go on", async || (progress(database, world).await > before).then_some(()))
        .await;
    tokio::time::sleep(Duration::from_millis(rng.between(0, 30))).await;
    let projector = world.projector.as_mut().unwrap();
    projector.kill();
    projector.start_again();
    let imported = importing.ends().await;
    assert!(imported.status.success(), "{imported:?}");
}

async fn caught_up(world: &World) {
    let http = Http::new(&world.projector.as_ref().unwrap().url);
    for model in MODELS {
        let path = format!("/v1/projections/{}/{model}", world.context.name);
        eventually_within(STALLED, "the model has caught up", async || {
            (http.get(&path).await.ok()?.body["caught_up"] == true).then_some(())
        })
        .await;
    }
}

/// All rows of a model, in a file.
fn save(world: &World, model: &str) -> PathBuf {
    let name = &world.context.name;
    let rows = world.spina().args(["model", "list", model, "--context", name, "--all", "--output", "json"]).succeeds();
    let file = world.stack.folder(name).join(format!("{model}.json"));
    fs::write(&file, rows).unwrap();
    file
}

fn assert_exact(world: &World, lines: &Path, days: Option<u32>) -> String {
    let rows = MODELS.map(|model| save(world, model));
    let verdict = verify_models(days, lines, rows.each_ref().map(PathBuf::as_path));
    assert!(verdict.status.success(), "{verdict:?}");
    assert!(verdict.stdout.starts_with("equal"), "{verdict:?}");
    verdict.stdout
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stdout, reason = "a failure is looked for by its seed; the figures of the year are told")]
async fn nasty_16_a_projector_killed_again_and_again_in_an_import_leaves_exact_rows() {
    let kills = std::env::var("SPINA_TEST_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let (seed, _) = uuid::Uuid::new_v4().as_u64_pair();
    println!("seed {seed}");
    let mut world = World::with_projector("killed").await;
    let (file, days) = lines(&world);
    let database = Database::connect(&world.stack).await;
    let begun = Instant::now();
    let mut rng = Rng::new(seed);
    let part = world.stack.folder(&world.context.name).join("part.ndjson");
    for lines in cut(&file, kills) {
        fs::write(&part, lines).unwrap();
        import_and_kill(&mut world, &database, &part, &mut rng).await;
    }
    world.projector.as_mut().unwrap().ready().await;
    caught_up(&world).await;
    let took = begun.elapsed();
    println!("{kills} kills in {took:.0?}: {}", assert_exact(&world, &file, days));
}
