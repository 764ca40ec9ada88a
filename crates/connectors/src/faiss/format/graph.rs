//! The graph of an HNSW index: stepped over, because the vectors are in the storage after it.

use super::FormatError;
use super::cursor::{Cursor, int};

/// What the graph says about how it was built.
pub(super) struct Graph {
    /// Neighbours per node above the lowest level.
    pub(super) m: i64,
    /// Candidates held while building.
    pub(super) ef_construction: i64,
}

/// Steps over the graph of `len` nodes.
pub(super) fn skip(
    cursor: &mut Cursor<'_>,
    bytes: &[u8],
    len: usize,
) -> Result<Graph, FormatError> {
    cursor.vector(8, "the graph's level probabilities")?;
    let neighbours = cursor.vector(4, "the graph's neighbours per level")?;
    let levels = cursor.vector(4, "the graph's levels")?;
    let offsets = cursor.vector(8, "the graph's offsets")?;
    if levels.count != len || offsets.count != len + 1 {
        return Err(cursor.wrong(format!(
            "a graph of {} nodes over {len} vectors",
            levels.count.max(offsets.count.saturating_sub(1)),
        )));
    }
    cursor.vector(4, "the graph's edges")?;
    cursor.i32("the graph's entry point")?;
    cursor.i32("the graph's highest level")?;
    let ef_construction = cursor.i32("the graph's efConstruction")?;
    cursor.i32("the graph's efSearch")?;
    cursor.i32("the graph's beam")?;
    // Cumulative counts: level 0 has 2 M neighbours, each level above has M.
    let lowest = if neighbours.count > 1 { int(bytes, neighbours.start + 4) } else { None };
    Ok(Graph { m: i64::from(lowest.unwrap_or(0)) / 2, ef_construction: ef_construction.into() })
}
