//! A context of a test's own, and changes for its models.

use serde_json::{Map, Value};
use spina_core::change::Action;
use spina_core::{Batch, Cell, CellType, Change, Column, Fold, KeyColumn, ModelShape, Op, Timestamp};
use spina_store::read_model::{Applied, Input, Inputs, Lease, ListQuery, ModelName, RowBatch, Slot, Taking, View};
use spina_store::{Store, StoreConfig};
use uuid::Uuid;

pub const PARTITIONS: usize = 2;

/// What a model is filled from.
pub fn inputs() -> Inputs {
    Inputs::of(vec![Input { topic: "test.events.v1".to_owned(), partitions: PARTITIONS }])
}

pub struct Books {
    pub store: Store,
    pub name: ModelName,
    pub shape: ModelShape,
}

impl Books {
    /// A model that nobody has taken yet, in a context of its own.
    pub async fn of(shape: ModelShape) -> Self {
        let url = std::env::var("SPINA_TEST_POSTGRES").expect("SPINA_TEST_POSTGRES is a database's URL");
        let store = Store::connect(&StoreConfig::new(url, "spina-tests")).await.unwrap();
        let context = format!("test-{}", Uuid::new_v4().simple()).parse().unwrap();
        Self { store, name: ModelName { context, model: "model".to_owned() }, shape }
    }

    pub async fn take(&self) -> Lease {
        match self.take_with("fingerprint").await {
            Taking::Taken(lease) => lease,
            other => panic!("{other:?}"),
        }
    }

    pub async fn take_with(&self, fingerprint: &str) -> Taking {
        self.store.take_model(&self.name, Slot::Live, &self.shape, fingerprint, &inputs()).await.unwrap()
    }

    /// Applies changes that lead to `next`; the lease follows if they were committed.
    pub async fn apply(&self, slot: Slot, lease: &mut Lease, next: [i64; PARTITIONS], changes: Vec<Change>) -> Applied {
        let mut batch = Batch::default();
        changes.into_iter().for_each(|change| batch.add(change).unwrap());
        let rows = RowBatch::from(batch);
        let applied = self.store.apply(&self.name, slot, &self.shape, lease, &next, &rows).await.unwrap();
        if applied == Applied::Committed {
            lease.next_offsets = next.into();
        }
        applied
    }

    pub async fn all(&self) -> Vec<Map<String, Value>> {
        self.list(&[], "").await
    }

    pub async fn list(&self, filters: &[String], order: &str) -> Vec<Map<String, Value>> {
        self.list_of(&self.view(), filters, order).await
    }

    pub fn view(&self) -> View {
        View::of(&self.name, &self.shape)
    }

    pub async fn list_of(&self, view: &View, filters: &[String], order: &str) -> Vec<Map<String, Value>> {
        let (mut rows, mut cursor) = (Vec::new(), None);
        loop {
            let query = ListQuery::parse(view, filters, order, 7, cursor.as_deref()).unwrap();
            let page = self.store.rows(view, &query).await.unwrap();
            assert!(page.rows.len() <= 7);
            rows.extend(page.rows);
            cursor = page.cursor;
            if cursor.is_none() {
                return rows;
            }
        }
    }
}

pub fn shape(columns: &[(&str, CellType, Fold)]) -> ModelShape {
    let column =
        |(name, cell, fold): &(&str, CellType, Fold)| Column { name: (*name).into(), cell: *cell, fold: *fold };
    ModelShape {
        key: vec![KeyColumn { name: "id".into(), cell: CellType::Long }],
        columns: columns.iter().map(column).collect(),
        children: vec![],
    }
}

pub fn upsert(id: i64, ops: Vec<(usize, Op)>) -> Change {
    Change { key: vec![Cell::Long(id)], action: Action::Upsert(ops) }
}

pub fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

pub fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros).unwrap()
}

/// Numbers that look random and are the same in every run.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}
