//! Rows of whole numbers as one array parameter. With an array per column, the server would materialise
//! each before reading a row.

use tokio_postgres::types::{ToSql, Type};

use super::error::Failure;

/// Rows of figures, in order. If a key comes first, concurrent statements lock rows in the same order
/// and can't deadlock.
#[derive(Debug)]
pub(super) struct FigureRows {
    select: String,
    figures: Vec<i64>,
    rows: i64,
}

impl FigureRows {
    /// Makes them from rows with as many figures as names.
    pub(super) fn new<const WIDTH: usize>(
        names: [&str; WIDTH],
        mut rows: Vec<[i64; WIDTH]>,
    ) -> Self {
        rows.sort_unstable();
        let column = |(name, at): (&str, usize)| format!("f[{WIDTH} * (nth - 1) + {at}] AS {name}");
        let columns: Vec<String> = names.into_iter().zip(1..).map(column).collect();
        // OFFSET keeps the planner from inlining the whole array for every `f`.
        let given = "(SELECT $1 AS f OFFSET 0) AS given, generate_series(1, $2) AS nth";
        Self {
            select: format!("SELECT {} FROM {given}", columns.join(", ")),
            rows: i64::try_from(rows.len()).unwrap_or(i64::MAX),
            figures: rows.into_flattened(),
        }
    }

    /// The rows as a SELECT, with named figures.
    pub(super) fn select(&self) -> &str {
        &self.select
    }

    /// The parameters of [`Self::select`].
    pub(super) fn params(&self) -> [(&(dyn ToSql + Sync), Type); 2] {
        [(&self.figures, Type::INT8_ARRAY), (&self.rows, Type::INT8)]
    }
}

/// A row as an array of as many figures as columns.
pub(super) fn array<T, const WIDTH: usize>(row: Vec<T>) -> Result<[T; WIDTH], Failure> {
    let wrong = |row: Vec<T>| Failure::failed(format!("{} of {WIDTH} columns", row.len()));
    row.try_into().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lie_one_after_the_other_in_their_order() {
        let figures = FigureRows::new(["a", "b"], vec![[2, 7], [1, 9]]);
        assert_eq!((figures.figures.as_slice(), figures.rows), (&[1, 9, 2, 7][..], 2));
        let select = "SELECT f[2 * (nth - 1) + 1] AS a, f[2 * (nth - 1) + 2] AS b FROM ";
        assert!(figures.select().starts_with(select), "{}", figures.select());
    }
}
