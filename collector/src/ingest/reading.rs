//! Reading frames and messages from streams.

use quinn::{ReadExactError, RecvStream};
use tokio::sync::mpsc;
use wire::codec::{self, CodecError, HEADER_LEN, Received};
use wire::frame::Frame;
use wire::message::Message;

use super::limits::{Account, Limit};

/// Frames or messages that wait for processing; the rest waits in QUIC's windows.
const WAITING: usize = 8;

/// Why reading from an agent ended.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The connection or stream is gone.
    #[error("the stream broke")]
    Gone(#[from] ReadExactError),
    /// The bytes are not of this protocol.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A message where a frame should be, or the other way round.
    #[error("a frame on the control stream, or a message on another")]
    Misplaced,
}

/// Reads the next frame or message of a stream; `None` at its end.
async fn read(stream: &mut RecvStream, account: &Account) -> Result<Option<Received>, ReadError> {
    let mut header = [0; HEADER_LEN];
    match stream.read_exact(&mut header).await {
        Ok(()) => {}
        Err(ReadExactError::FinishedEarly(0)) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let header = codec::decode_header(header)?;
    account.take_bytes(HEADER_LEN + header.len() as usize);
    let mut body = vec![0; header.len() as usize];
    stream.read_exact(&mut body).await?;
    let received = codec::decode_body(header, &body)?;
    if let Received::Frame(frame) = &received {
        account.take_frame(frame);
    }
    Ok(Some(received))
}

/// Reads the next message of the control stream; `None` at its end.
///
/// # Errors
/// [`ReadError`] names the cause.
pub async fn read_message(
    stream: &mut RecvStream,
    account: &Account,
) -> Result<Option<Message>, ReadError> {
    match read(stream, account).await? {
        Some(Received::Message(message)) => Ok(Some(message)),
        Some(Received::Frame(_)) => Err(ReadError::Misplaced),
        None => Ok(None),
    }
}

/// The frame of a datagram. `None` if the client is over a limit; then the agent sends the frame again
/// on a stream.
///
/// # Errors
/// [`ReadError`] if the bytes are not a frame.
pub fn datagram(bytes: &[u8], account: &Account) -> Result<Option<Frame>, ReadError> {
    if account.over(&Limit::READING).is_some() {
        return Ok(None);
    }
    account.take_bytes(bytes.len());
    let Received::Frame(frame) = codec::decode(bytes)? else { return Err(ReadError::Misplaced) };
    account.take_frame(&frame);
    Ok(Some(frame))
}

/// Reads messages in a task of its own, because reading one can't be interrupted and resumed. The
/// channel closes at the end of the stream.
pub fn messages(
    mut stream: RecvStream,
    account: Account,
) -> mpsc::Receiver<Result<Message, ReadError>> {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        // Wait until the client may send another.
        account.ready(&Limit::READING).await;
        while let Some(message) = read_message(&mut stream, &account).await.transpose() {
            let failed = message.is_err();
            if sender.send(message).await.is_err() || failed {
                return;
            }
            account.ready(&Limit::READING).await;
        }
    });
    receiver
}

/// Reads the frames of all streams that the agent opens, one stream after the other.
pub fn frames(
    connection: quinn::Connection,
    account: Account,
) -> mpsc::Receiver<Result<Frame, ReadError>> {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        while let Ok(mut stream) = connection.accept_uni().await {
            account.ready(&Limit::READING).await;
            while let Some(received) = read(&mut stream, &account).await.transpose() {
                let frame = match received {
                    Ok(Received::Frame(frame)) => Ok(frame),
                    Ok(Received::Message(_)) => Err(ReadError::Misplaced),
                    Err(error) => Err(error),
                };
                let failed = frame.is_err();
                if sender.send(frame).await.is_err() || failed {
                    return;
                }
                account.ready(&Limit::READING).await;
            }
        }
    });
    receiver
}
