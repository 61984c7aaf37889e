//! Rules for SQL if Citus spreads the fact tables over nodes. Each rule stands for SQL that Citus
//! refuses, that makes it query every shard, or that makes two sessions wait for each other.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, CreateFunctionBody, Expr, ObjectName, ObjectType, Query, Select, SetExpr,
    Statement, TableFactor, Value, Visit, Visitor,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

/// Distributed tables, by the column `client`.
const FACTS: [&str; 7] = [
    "hot_samples",
    "packed_samples",
    "hot_mixes",
    "packed_mixes",
    "talkers",
    "bandwidth_1m",
    "bandwidth_5m",
];

/// Tables of which views have the former names, with which the names of their partitions and indexes begin.
const RENAMED: [(&str, &str); 2] =
    [("hot_samples", "bandwidth_stats"), ("hot_mixes", "traffic_mix")];

/// Views of these tables.
const VIEWS: [&str; 10] = [
    "bandwidth_stats",
    "traffic_mix",
    "bandwidth_samples",
    "bandwidth_report",
    "bandwidth_rates_5m",
    "bandwidth_p95_monthly",
    "talker_entries",
    "talkers_by_host",
    "talkers_by_service",
    "talkers_by_owner",
];

/// Reads about all clients, by their beginning.
const OF_ALL_CLIENTS: [&str; 16] = [
    // Which NICs have samples or mixes to pack, not on Citus.
    "SELECT client, id FROM nics WHERE EXISTS (SELECT 1 FROM hot_samples",
    "SELECT client, id FROM nics WHERE EXISTS (SELECT 1 FROM hot_mixes",
    // Rows of packed samples and mixes, and the days of them, before their tables are distributed.
    "SELECT DISTINCT floor(extract(epoch FROM time) / 86400)::bigint FROM packed_",
    "INSERT INTO hot_samples SELECT u.* FROM packed_samples",
    "INSERT INTO hot_mixes SELECT u.* FROM packed_mixes",
    // The proof of packed samples and mixes, and the lists of talkers to be proven.
    "SELECT first, time, samples, interval_ns::text",
    "SELECT nic, first, time, mixes, columns",
    "SELECT DISTINCT client, nic FROM talkers",
    // The proof of `fsck`, and the snapshot that it reads.
    "SELECT nic, sum(rx_bytes)::text",
    "SELECT 1 FROM",
    // The proof of talkers, and the search for an address.
    "SELECT t.time, t.interval_ns, t.kind, t.direction, t.total_bytes, t.total_packets, t.rest_bytes",
    "SELECT t.nic, t.time, t.interval_ns",
    // The sums of the NICs of an account.
    "SELECT k.place, b.time, covered_ns,",
    // The sums of groups of clients, and which of too many groups are the largest.
    "SELECT b.time, max(b.covered_ns)",
    "SELECT m.place, (CASE WHEN sum(b.rx_bytes)",
    // Retention after a clock far ahead: the time from which a table is complete.
    "SELECT coalesce(max(time) + interval '5 minutes'",
];

/// The relevant parts of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Event {
    /// A transaction begins or ends: no lock is held.
    Boundary,
    Lock(String),
    Drop(String),
    /// A function is created; true if it is SQL over fact tables.
    Function(String, bool),
    Wrong(String),
}

/// The relevant parts of a text with one or more statements.
#[derive(Debug, Clone)]
pub struct Digest(Vec<Event>);

/// The statements of several sessions, in order.
#[derive(Debug, Default)]
pub struct Rules {
    /// The tables that each session has locked, in order.
    locked: BTreeMap<u32, Vec<String>>,
    functions: BTreeMap<String, bool>,
    wrong: BTreeSet<String>,
}

impl Rules {
    /// Adds the next text that a session ran.
    pub fn take(&mut self, session: u32, text: &Digest) {
        let locked = self.locked.entry(session).or_default();
        for event in &text.0 {
            match event {
                Event::Boundary => locked.clear(),
                Event::Lock(table) => {
                    let parent = parent(table);
                    if parent.is_some_and(|it| !locked.iter().any(|locked| locked == it)) {
                        self.wrong.insert(format!("{table} is locked before its table"));
                    }
                    locked.push(table.clone());
                }
                Event::Drop(table) => {
                    let parent = parent(table);
                    if parent.is_some_and(|it| !locked.iter().any(|locked| locked == it)) {
                        self.wrong.insert(format!("{table} is dropped without its table's lock"));
                    }
                }
                Event::Function(name, over_facts) => {
                    self.functions.insert(name.clone(), *over_facts);
                }
                Event::Wrong(wrong) => {
                    self.wrong.insert(wrong.clone());
                }
            }
        }
    }

    /// The broken rules, with the statements that broke them.
    pub fn broken(&self) -> Vec<String> {
        let functions = self.functions.iter().filter(|(_, over_facts)| **over_facts);
        let functions =
            functions.map(|(name, _)| format!("the function {name} is of SQL over fact tables"));
        self.wrong.iter().cloned().chain(functions).collect()
    }
}

/// Parses a text from the server's log.
pub fn digest(text: &str) -> Digest {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // Its rows are no statement, and its options are not what the parser expects.
    if words.starts_with("COPY ") {
        return Digest(Vec::new());
    }
    let wrong = |what: &str| Event::Wrong(format!("{what}: {words:.300}"));
    let statements = match Parser::parse_sql(&PostgreSqlDialect {}, &joined(text)) {
        Ok(statements) => statements,
        Err(error) if FACTS.iter().any(|table| text.contains(table)) => {
            return Digest(vec![wrong(&format!("not understood ({error})"))]);
        }
        Err(_) => return Digest(Vec::new()),
    };
    let mut events = Vec::new();
    for statement in &statements {
        let mut found = Found::default();
        let _: ControlFlow<()> = statement.visit(&mut found);
        if found.empty_list {
            events.push(wrong("an empty select list"));
        }
        if found.modifies && found.ctid {
            events.push(wrong("ctid in a modification"));
        }
        if is_insert_of_ordered_distinct(statement) {
            events.push(wrong("DISTINCT and ORDER BY in an INSERT"));
        }
        let of_all = OF_ALL_CLIENTS.iter().any(|begin| words.starts_with(begin));
        if found.read_of_all && !found.defines && !of_all {
            events.push(wrong("a read without client ="));
        }
        if statements.len() > 1 && altered(statement).is_some_and(|name| is_of_facts(&name)) {
            events.push(wrong("ALTER beside other statements"));
        }
        events.extend(event(statement));
    }
    Digest(events)
}

/// Joins literals on separate lines into one, as SQL does and the parser doesn't.
fn joined(text: &str) -> String {
    let mut joined = String::new();
    for line in text.lines() {
        match (joined.strip_suffix("'\n"), line.trim_start().strip_prefix('\'')) {
            (Some(before), Some(after)) => joined = format!("{before}{after}\n"),
            _ => joined.extend([line, "\n"]),
        }
    }
    joined
}

fn event(statement: &Statement) -> Vec<Event> {
    match statement {
        Statement::StartTransaction { .. }
        | Statement::Commit { .. }
        | Statement::Rollback { .. } => vec![Event::Boundary],
        Statement::Lock(lock) => {
            lock.tables.iter().map(|table| Event::Lock(name(&table.name))).collect()
        }
        Statement::Drop { object_type: ObjectType::Table, names, .. } => {
            names.iter().map(|table| Event::Drop(name(table))).collect()
        }
        Statement::CreateFunction(function) => {
            let language = function.language.as_ref().map(|it| it.value.to_lowercase());
            let body = match &function.function_body {
                Some(
                    CreateFunctionBody::AsBeforeOptions { body, .. }
                    | CreateFunctionBody::AsAfterOptions(body),
                ) => body.to_string(),
                _ => String::new(),
            };
            let over_facts = FACTS.iter().chain(&VIEWS).any(|table| body.contains(table));
            let of_sql = language.as_deref() == Some("sql");
            vec![Event::Function(name(&function.name), of_sql && over_facts)]
        }
        _ => Vec::new(),
    }
}

/// The table or index that a statement alters. Citus sends the text of the whole query to its nodes,
/// which refuse more than one command.
fn altered(statement: &Statement) -> Option<String> {
    match statement {
        Statement::AlterTable(alter) => Some(name(&alter.name)),
        Statement::AlterIndex { name: index, .. } => Some(name(index)),
        _ => None,
    }
}

/// True for an INSERT that takes distinct rows of a fact table in an order: Citus casts them to the types of the
/// columns, and the order then names values that are not selected.
fn is_insert_of_ordered_distinct(statement: &Statement) -> bool {
    let Statement::Insert(insert) = statement else { return false };
    let Some(Query { body, order_by: Some(_), .. }) = insert.source.as_deref() else {
        return false;
    };
    matches!(&**body, SetExpr::Select(select) if select.distinct.is_some() && reads_facts(select))
}

/// Whether this names a fact table, one of its partitions (attached or not) or an index of these.
fn is_of_facts(name: &str) -> bool {
    let name = name.strip_prefix("expiring_").unwrap_or(name);
    FACTS.into_iter().any(|table| name.starts_with(first_name(table)))
}

/// The name that a fact table began with.
fn first_name(table: &'static str) -> &'static str {
    let renamed = RENAMED.into_iter().find(|(name, _)| *name == table);
    renamed.map_or(table, |(_, first)| first)
}

/// The parts found in a statement.
#[derive(Debug, Default)]
struct Found {
    empty_list: bool,
    modifies: bool,
    ctid: bool,
    read_of_all: bool,
    /// It defines a view.
    defines: bool,
}

impl Visitor for Found {
    type Break = ();

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        self.modifies |=
            matches!(statement, Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_));
        self.defines |= matches!(statement, Statement::CreateView(_));
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.empty_list |= select.projection.is_empty();
        if reads_facts(select) && !select.selection.as_ref().is_some_and(is_of_one_client) {
            self.read_of_all = true;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        self.ctid |= is_column(expr, "ctid");
        ControlFlow::Continue(())
    }
}

/// True if a fact table or a view of them is read.
fn reads_facts(select: &Select) -> bool {
    let mut tables = select.from.iter().flat_map(|from| {
        std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation))
    });
    tables.any(|table| match table {
        TableFactor::Table { name: table, .. } => {
            let table = name(table);
            FACTS.contains(&table.as_str()) || VIEWS.contains(&table.as_str())
        }
        _ => false,
    })
}

/// True if a condition limits rows to one client, known by its number.
fn is_of_one_client(condition: &Expr) -> bool {
    match condition {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            is_of_one_client(left) || is_of_one_client(right)
        }
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
            is_column(left, "client") && is_known(right)
        }
        Expr::Nested(inner) => is_of_one_client(inner),
        _ => false,
    }
}

/// True for a number or parameter: Citus must know it in advance to query only one node.
fn is_known(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => {
            matches!(value.value, Value::Number(..) | Value::Placeholder(_))
        }
        Expr::UnaryOp { expr, .. } => is_known(expr),
        _ => false,
    }
}

fn is_column(expr: &Expr, column: &str) -> bool {
    match expr {
        Expr::Identifier(it) => it.value == column,
        Expr::CompoundIdentifier(parts) => parts.last().is_some_and(|it| it.value == column),
        _ => false,
    }
}

fn name(table: &ObjectName) -> String {
    table.0.last().map(ToString::to_string).unwrap_or_default()
}

/// The parent table of a partition, if it is one.
fn parent(table: &str) -> Option<&'static str> {
    FACTS.into_iter().find(|parent| {
        let rest = table.strip_prefix(first_name(parent));
        rest.is_some_and(|rest| rest == "_default" || rest.starts_with("_p"))
    })
}
