//! Rows of whole numbers on their way into a statement, all in one array: with an array for each
//! column, the server puts each into a store of its own before it looks at a row.

use tokio_postgres::types::{ToSql, Type};

use super::error::Failure;

/// Rows of figures, in their order: with a key in front, no two statements wait for each other's
/// rows in a circle.
#[derive(Debug)]
pub(super) struct Figures {
    select: String,
    figures: Vec<i64>,
    rows: i64,
}

impl Figures {
    /// From rows of as many figures each as there are names.
    pub(super) fn new<const WIDTH: usize>(
        names: [&str; WIDTH],
        mut rows: Vec<[i64; WIDTH]>,
    ) -> Self {
        rows.sort_unstable();
        let column = |(name, at): (&str, usize)| format!("f[{WIDTH} * (nth - 1) + {at}] AS {name}");
        let columns: Vec<String> = names.into_iter().zip(1..).map(column).collect();
        // OFFSET keeps the planner from putting the whole array in the place of each `f`.
        let given = "(SELECT $1 AS f OFFSET 0) AS given, generate_series(1, $2) AS nth";
        Self {
            select: format!("SELECT {} FROM {given}", columns.join(", ")),
            rows: i64::try_from(rows.len()).unwrap_or(i64::MAX),
            figures: rows.into_flattened(),
        }
    }

    /// The rows as a SELECT, the figures by their names.
    pub(super) fn select(&self) -> &str {
        &self.select
    }

    /// What [`Self::select`] refers to.
    pub(super) fn params(&self) -> [(&(dyn ToSql + Sync), Type); 2] {
        [(&self.figures, Type::INT8_ARRAY), (&self.rows, Type::INT8)]
    }
}

/// A row, as long as its columns are many.
pub(super) fn array<T, const WIDTH: usize>(row: Vec<T>) -> Result<[T; WIDTH], Failure> {
    let wrong = |row: Vec<T>| Failure::Failed(format!("{} of {WIDTH} columns", row.len()));
    row.try_into().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lie_one_after_the_other_in_their_order() {
        let figures = Figures::new(["a", "b"], vec![[2, 7], [1, 9]]);
        assert_eq!((figures.figures.as_slice(), figures.rows), (&[1, 9, 2, 7][..], 2));
        let select = "SELECT f[2 * (nth - 1) + 1] AS a, f[2 * (nth - 1) + 2] AS b FROM ";
        assert!(figures.select().starts_with(select), "{}", figures.select());
    }
}
