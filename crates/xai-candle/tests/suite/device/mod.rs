//! The devices that the tests of candle run on.

use xai_candle::candle_core::Device;

/// The processor, and the first CUDA device where the tests were built for one.
#[allow(clippy::print_stderr, reason = "what was not tested must be seen")]
pub(crate) fn devices() -> Vec<Device> {
    let mut devices = vec![Device::Cpu];
    if cfg!(feature = "cuda") {
        match Device::new_cuda(0) {
            Ok(device) => devices.push(device),
            Err(error) => eprintln!("not run on CUDA, there is no device: {error}"),
        }
    } else {
        eprintln!("not run on CUDA, which needs the feature `cuda`");
    }
    devices
}
