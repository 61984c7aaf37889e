//! A mix as its table of rows gives it: an array of its columns.

use wire::WallNs;

use crate::store::postgres::error::Failure;
use crate::store::rows::columns::{MIX_FIGURES, mix_columns};
use crate::store::rows::packed::MixRow;

/// SQL for what [`mix`] reads, of each column of a mix: its length and figures.
pub fn array(of: impl Fn(&str) -> String) -> String {
    let columns = std::iter::once("interval_ns".to_owned()).chain(mix_columns());
    let all: Vec<String> = columns.map(|column| of(&column)).collect();
    format!("ARRAY[{}]", all.join(", "))
}

/// A mix of a time and an [`array`].
pub fn mix(start_ns: WallNs, columns: Vec<i64>) -> Result<MixRow, Failure> {
    let columns: Result<[i64; 1 + MIX_FIGURES], _> = columns.try_into();
    let columns =
        columns.map_err(|_| Failure::failed("mixes have other columns than asked for"))?;
    let [interval_ns, figures @ ..] = columns.map(i64::cast_unsigned);
    Ok(MixRow { start_ns, interval_ns, figures })
}
