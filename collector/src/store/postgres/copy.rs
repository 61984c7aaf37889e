//! PostgreSQL's binary COPY: encodes rows into large chunks.

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::SinkExt;
use tokio_postgres::Client;
use wire::WallNs;

use super::error::Failure;
use super::number::int4;
use crate::store::rows::nics::NicId;

/// Sizes at which the first chunk and later chunks are sent, bytes: the server gets its first rows
/// soon, and then has enough work while the next ones are encoded.
const FIRST_CHUNK: usize = 64 << 10;
const CHUNK: usize = 256 << 10;

/// Microseconds from 1970 to 2000, the start of PostgreSQL's time.
const EPOCH_US: i64 = 946_684_800_000_000;

/// Rows in the binary format of COPY.
#[derive(Debug)]
pub(super) struct CopyRows {
    columns: i16,
    chunks: Vec<Bytes>,
    chunk: BytesMut,
    /// Size of a full chunk.
    full: usize,
}

impl CopyRows {
    /// No rows yet, with this many columns.
    pub(super) fn new(columns: i16) -> Self {
        let mut chunk = BytesMut::new();
        chunk.put_slice(b"PGCOPY\n\xff\r\n\0");
        // Flags, and the length of the header's extension.
        chunk.put_i64(0);
        Self { columns, chunks: Vec::new(), chunk, full: FIRST_CHUNK }
    }

    /// Starts a row; one field per column must follow.
    pub(super) fn row(&mut self) {
        if self.chunk.len() >= self.full {
            self.chunks.push(self.chunk.split().freeze());
            self.full = CHUNK;
        }
        self.chunk.put_i16(self.columns);
    }

    pub(super) fn bool(&mut self, value: bool) {
        self.chunk.put_i32(1);
        self.chunk.put_u8(value.into());
    }

    pub(super) fn int2(&mut self, value: i16) {
        self.chunk.put_i32(2);
        self.chunk.put_i16(value);
    }

    pub(super) fn int4(&mut self, value: i32) {
        self.chunk.put_i32(4);
        self.chunk.put_i32(value);
    }

    /// The number of a NIC: 32 bits in PostgreSQL.
    pub(super) fn nic(&mut self, nic: NicId) -> Result<(), Failure> {
        self.int4(int4(nic.get())?);
        Ok(())
    }

    pub(super) fn int8(&mut self, value: i64) {
        self.chunk.put_i32(8);
        self.chunk.put_i64(value);
    }

    /// A time in nanoseconds since 1970 (UTC), stored to the microsecond.
    pub(super) fn time(&mut self, time_ns: WallNs) {
        self.int8((time_ns / 1000).cast_signed() - EPOCH_US);
    }

    /// Text or bytes.
    pub(super) fn bytes(&mut self, value: &[u8]) -> Result<(), Failure> {
        let len = i32::try_from(value.len())
            .map_err(|_| Failure::refused(format!("a value of {} bytes", value.len())))?;
        self.chunk.put_i32(len);
        self.chunk.put_slice(value);
        Ok(())
    }

    pub(super) fn null(&mut self) {
        self.chunk.put_i32(-1);
    }

    /// The full chunks, to send while further rows are encoded.
    pub(super) fn take_full(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.chunks)
    }

    /// The last chunks.
    pub(super) fn finish(mut self) -> Vec<Bytes> {
        self.chunk.put_i16(-1);
        self.chunks.push(self.chunk.freeze());
        self.chunks
    }
}

/// Sends rows with `sql`, a `COPY ... FROM STDIN BINARY` that names its `columns`. `encode` encodes
/// each row while the server reads earlier ones. After an error the connection is unusable.
pub(super) async fn copy<T>(
    client: &Client,
    sql: &str,
    columns: i16,
    rows: impl IntoIterator<Item = T>,
    mut encode: impl FnMut(T, &mut CopyRows) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut sink = std::pin::pin!(client.copy_in::<_, Bytes>(sql).await?);
    let mut encoded = CopyRows::new(columns);
    for row in rows {
        encoded.row();
        for chunk in encoded.take_full() {
            sink.send(chunk).await?;
        }
        encode(row, &mut encoded)?;
    }
    for chunk in encoded.finish() {
        sink.send(chunk).await?;
    }
    sink.finish().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_encoded_as_the_manual_says() {
        let mut rows = CopyRows::new(3);
        rows.row();
        rows.int4(7);
        rows.null();
        rows.time(WallNs(946_684_800_000_001_999));
        let mut expected = b"PGCOPY\n\xff\r\n\0".to_vec();
        expected.extend([0; 8]);
        expected.extend([0, 3, 0, 0, 0, 4, 0, 0, 0, 7, 255, 255, 255, 255]);
        expected.extend([0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(rows.chunk, expected);
    }

    #[test]
    fn chunks_end_at_rows() {
        let mut rows = CopyRows::new(1);
        for n in 0..100_000 {
            rows.row();
            rows.int8(n);
        }
        assert!(rows.chunks.len() > 3);
        for chunk in &rows.chunks {
            assert!(chunk.len() < CHUNK + 100, "{}", chunk.len());
        }
    }
}
