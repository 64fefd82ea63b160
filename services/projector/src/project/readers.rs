//! Reading all topics of a model at a time, none of which holds up the others.

use std::collections::VecDeque;

use futures::future::select_all;
use spina_log::{Batch, LogConfig, LogError, LogReader, ReaderOptions, Start};
use spina_store::read_model::{Input, Inputs};

/// One reader for each topic. Dropping it stops them.
pub struct Readers {
    /// With the number of the input; whose turn it was last stands at the end.
    readers: VecDeque<(usize, LogReader)>,
}

impl Readers {
    /// Begins to read at these offsets, a list over all partitions.
    ///
    /// # Errors
    /// As [`LogReader::open`].
    pub fn open(log: &LogConfig, inputs: &Inputs, next_offsets: &[i64]) -> Result<Self, LogError> {
        // Offset 0 may have been deleted by retention before the model existed; any other must be there.
        let start = |next: &i64| if *next == 0 { Start::Earliest } else { Start::At(*next) };
        let reader = |(input, of): (usize, &Input)| {
            let starts = (0..).zip(inputs.part(input, next_offsets).iter().map(start)).collect();
            Ok((input, LogReader::open(log, &of.topic, starts, ReaderOptions::default())?))
        };
        Ok(Self { readers: inputs.iter().enumerate().map(reader).collect::<Result<_, _>>()? })
    }

    /// The next batch of any topic, and which input that is. Safe to drop while it waits.
    ///
    /// # Errors
    /// As [`LogReader::next`].
    pub async fn next(&mut self) -> Result<(usize, Batch), LogError> {
        let (at, batch) = match self.readers.make_contiguous() {
            [(_, only)] => (0, only.next().await),
            all => {
                let (batch, at, _) = select_all(all.iter_mut().map(|(_, reader)| Box::pin(reader.next()))).await;
                (at, batch)
            }
        };
        let turn = self.readers.remove(at).ok_or(LogError::Stopped("log reader"))?;
        let input = turn.0;
        self.readers.push_back(turn);
        Ok((input, batch.unwrap_or(Err(LogError::Stopped("log reader")))?))
    }
}
