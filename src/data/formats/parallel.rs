//! Decoding many images on several threads: every image has its own place in the result, so that the threads' timing shows
//! nowhere.

/// Images that a thread takes at a time.
const BLOCK: usize = 64;

/// Calls `work(i, row)` for each row of `row` bytes in `out`, on up to `threads` threads.
///
/// # Errors
/// That of the first row (not the first in time) that fails.
pub fn rows(
    out: &mut [u8],
    row: usize,
    threads: usize,
    work: impl Fn(usize, &mut [u8]) -> Result<(), String> + Sync,
) -> Result<(), String> {
    let blocks: Vec<(usize, &mut [u8])> = out.chunks_mut((row * BLOCK).max(1)).enumerate().collect();
    let queue = std::sync::Mutex::new(blocks.into_iter());
    let failed = std::sync::Mutex::new(None::<(usize, String)>);
    let next = || queue.lock().ok().and_then(|mut blocks| blocks.next());
    let run = || {
        while let Some((block, bytes)) = next() {
            for (place, bytes) in bytes.chunks_mut(row.max(1)).enumerate() {
                let number = block * BLOCK + place;
                let Err(problem) = work(number, bytes) else { continue };
                if let Ok(mut first) = failed.lock()
                    && first.as_ref().is_none_or(|(known, _)| number < *known)
                {
                    *first = Some((number, problem));
                }
                // Blocks are handed out in order: whatever is still to come lies behind this one.
                if let Ok(mut blocks) = queue.lock() {
                    blocks.by_ref().for_each(drop);
                }
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.max(1) {
            scope.spawn(run);
        }
        run();
    });
    match failed.into_inner() {
        Ok(Some((_, problem))) => Err(problem),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_written_once_whatever_the_threads() {
        for threads in [1, 2, 5] {
            let mut out = vec![0_u8; 3 * 1000];
            rows(&mut out, 3, threads, |number, row| {
                row.iter_mut().for_each(|byte| *byte += (number % 251) as u8 + 1);
                Ok(())
            })
            .unwrap();
            assert!(out.iter().enumerate().all(|(place, byte)| *byte == (place / 3 % 251) as u8 + 1));
        }
    }

    #[test]
    fn the_first_failure_is_told_whichever_thread_finds_one_first() {
        for threads in [1, 2, 5] {
            let mut out = vec![0_u8; 1000];
            let work = |number: usize, _: &mut [u8]| if number % 130 == 129 { Err(number.to_string()) } else { Ok(()) };
            assert_eq!(rows(&mut out, 1, threads, work).unwrap_err(), "129");
        }
    }
}
