//! `spina model`: rows of the read models.

use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};
use spina_core::{ContextName, Token};

use crate::client::{Client, Service, segment};
use crate::output::{self, Format, JsonLines};
use crate::reach::{InContext, Reach, seconds};
use crate::table::{Table, cell};

/// Rows asked for at once with --all.
const PAGE_ROWS: u32 = 1000;

/// Look at read models
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    context: InContext,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Get(Get),
    List(List),
}

/// Show one row
#[derive(Debug, clap::Args)]
struct Get {
    /// Read model, such as carrier_punctuality
    model: String,
    /// The row's key; several key columns are joined by commas
    key: String,
    /// Wait until the model has seen the event of this token
    #[arg(long, value_name = "TOKEN")]
    after: Option<Token>,
    /// How long to wait for that
    #[arg(long, default_value = "5", value_name = "SECONDS", value_parser = seconds, requires = "after")]
    wait: Duration,
}

/// Show rows
#[derive(Debug, clap::Args)]
struct List {
    /// Read model, such as carrier_punctuality
    model: String,
    /// The rows of this table that belong to the row --of, not the model's own
    #[arg(long, value_name = "TABLE", requires = "of")]
    children: Option<String>,
    /// Key of the row whose children are shown
    #[arg(long, value_name = "KEY", requires = "children")]
    of: Option<String>,
    /// Only rows like this: column:op:value with eq, ne, lt, le, gt, ge, prefix, null; repeat for more
    #[arg(long = "where", value_name = "COLUMN:OP:VALUE")]
    filters: Vec<String>,
    /// Columns to sort by, separated by commas; column:desc for the greatest first
    #[arg(long, value_name = "COLUMN[:desc]")]
    order: Option<String>,
    /// Most rows
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// All rows, page by page
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

impl Args {
    /// Asks and prints.
    pub async fn run(self, format: Format) -> Result<()> {
        let client = self.reach.client()?;
        let (Verb::Get(Get { model, .. }) | Verb::List(List { model, .. })) = &self.verb;
        let context = self.context.of_model(&client, model).await?;
        match self.verb {
            Verb::Get(get) => get.run(&client, &context, self.reach.timeout(), format).await,
            Verb::List(list) => list.run(&client, &context, format).await,
        }
    }
}

impl Get {
    async fn run(self, client: &Client, context: &ContextName, timeout: Duration, format: Format) -> Result<()> {
        let path = format!("/v1/{context}/models/{}/{}", segment(&self.model), segment(&self.key));
        let mut query = Vec::new();
        if let Some(after) = &self.after {
            query.push(("after", after.to_string()));
            query.push(("timeout_ms", self.wait.as_millis().to_string()));
        }
        let request = client.request(Service::Projector, reqwest::Method::GET, &path).query(&query);
        let row = client.document_within(Service::Projector, request, self.wait + timeout).await?;
        if format != Format::Text {
            return output::json(&row);
        }
        let mut table = Table::new(["column", "value"]);
        for (column, value) in row.as_object().into_iter().flatten() {
            table.row([column.clone(), cell(value)]);
        }
        output::line(table)
    }
}

impl List {
    async fn run(self, client: &Client, context: &ContextName, format: Format) -> Result<()> {
        let mut query: Vec<(&str, String)> = self.filters.iter().map(|filter| ("where", filter.clone())).collect();
        query.extend(self.order.as_ref().map(|order| ("order", order.clone())));
        let limit = if self.all { PAGE_ROWS } else { self.limit };
        query.push(("limit", limit.to_string()));
        let mut path = Pages::path(context, &self.model);
        if let (Some(key), Some(children)) = (&self.of, &self.children) {
            path = format!("{path}/{}/{}", segment(key), segment(children));
        }
        let mut pages = Pages { client, path, query, cursor: None };
        let mut rows = Vec::new();
        let mut lines = (format == Format::Ndjson).then(JsonLines::new);
        loop {
            let page = pages.next().await?;
            match &mut lines {
                Some(lines) => page.iter().try_for_each(|row| lines.push(row))?,
                None => rows.extend(page),
            }
            if !self.all || pages.cursor.is_none() {
                break;
            }
        }
        match (format, lines) {
            (_, Some(mut lines)) => lines.flush(),
            (Format::Json | Format::Ndjson, None) => output::json(&json!({ "rows": rows, "cursor": pages.cursor })),
            (Format::Text, None) => {
                output::line(Table::of_objects(&rows))?;
                if pages.cursor.is_some() {
                    output::note("there are more rows: --limit or --all");
                }
                Ok(())
            }
        }
    }
}

/// The rows of a model, page by page.
pub struct Pages<'a> {
    /// Whom to ask.
    pub client: &'a Client,
    /// The path of what is listed.
    pub path: String,
    /// Filters, order, limit.
    pub query: Vec<(&'a str, String)>,
    /// Where the next page begins.
    pub cursor: Option<String>,
}

impl Pages<'_> {
    /// The path of a model's rows.
    pub fn path(context: &ContextName, model: &str) -> String {
        format!("/v1/{context}/models/{}", segment(model))
    }

    /// The next page; the last one leaves no cursor.
    pub async fn next(&mut self) -> Result<Vec<Value>> {
        let mut query = self.query.clone();
        query.extend(self.cursor.take().map(|cursor| ("cursor", cursor)));
        let mut page = self.client.get(Service::Projector, &self.path, &query).await?;
        self.cursor = page["cursor"].as_str().map(str::to_owned);
        Ok(match page["rows"].take() {
            Value::Array(rows) => rows,
            other => anyhow::bail!("the projector sent {other} where rows should be"),
        })
    }
}
