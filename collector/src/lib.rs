//! The collector: receives agents' measurements, stores them in a database, and shows them.

#![forbid(unsafe_code)]

pub mod accounts;
pub mod admin;
pub mod alerts;
pub mod audit;
pub mod backup;
pub mod bucket;
pub mod cli;
pub mod config;
pub mod doctor;
pub mod export;
pub mod http_client;
pub mod identity;
pub mod import;
pub mod ingest;
pub mod listen;
pub mod live;
pub mod metrics;
pub mod otlp;
pub mod run;
pub mod secret_file;
pub mod spreadsheet;
pub mod sql;
pub mod store;
pub mod store_location;
mod talker_words;
pub mod time;
pub mod tls_client;
pub mod top;
pub mod web;
pub mod writer;
