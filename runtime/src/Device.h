// Device.h: the GPU of one handle, through the CUDA driver that is opened at run time. No function here is called for a
// library without GPU code.
#ifndef MLC_RUNTIME_DEVICE_H
#define MLC_RUNTIME_DEVICE_H

#include "Handle.h"

namespace mlc {

/// Opens the driver and the device, and loads the program's kernels into handle->device. MLC_UNSUPPORTED_DEVICE and a
/// message naming what is missing otherwise; deviceClose cleans up in both cases.
mlc_status deviceOpen(mlc_handle *handle);
void deviceClose(mlc_handle *handle);

/// Fails if a fault has ended the device's context.
mlc_status deviceUsable(mlc_handle *handle);

/// Makes the device's context current for the calling thread, and restores the previous one afterwards. On the CPU it does
/// nothing.
class DeviceScope {
public:
  explicit DeviceScope(mlc_handle *handle);
  ~DeviceScope();
  DeviceScope(const DeviceScope &) = delete;
  DeviceScope &operator=(const DeviceScope &) = delete;

  /// Not MLC_OK, and a message: the context could not be made current, or a fault has ended it.
  mlc_status status() const { return failure; }
  /// Restores the previous context now: `status`, or if that is MLC_OK why it cannot be restored.
  mlc_status leave(mlc_status status);

private:
  mlc_handle *handle;
  bool pushed;
  mlc_status failure;
};

// The following need a DeviceScope. Copies and launches are queued in order; deviceWait waits for all of them and
// reports what failed.
enum class DeviceMemory { Private, Shared }; // Shared: the host can address it too, between calls
mlc_status deviceAllocate(mlc_handle *handle, size_t bytes, DeviceMemory kind, const char *purpose, void **memory);
mlc_status deviceRelease(mlc_handle *handle, void *memory);
mlc_status deviceWrite(mlc_handle *handle, void *device, const void *host, size_t bytes);
mlc_status deviceRead(mlc_handle *handle, void *host, const void *device, size_t bytes);
mlc_status deviceZero(mlc_handle *handle, void *device, size_t bytes);
mlc_status deviceWait(mlc_handle *handle);

// A call: deviceBegin, deviceStage, the entry with its launches, deviceVerify, deviceUnstage.
//
// The kernels write what they find wrong into a record of four words: the position of the first element that the check at
// hand refuses (-1: none; every check leaves -1 behind), then of the first check that failed the address of its message
// (0: none has failed), the value and the bound. mlc_call.checks points to it.
const int32_t checkRecordWords = 4;
mlc_status deviceBegin(mlc_handle *handle);
void *deviceChecks(mlc_handle *handle);

/// The failure of a launch of this call, which has left its message.
mlc_status deviceFailure(mlc_handle *handle);

/// Waits for everything; MLC_MODEL_ERROR and the message if a check on the device has failed.
mlc_status deviceVerify(mlc_handle *handle);

/// Waits for everything after a failure, whose message stays.
void deviceSettle(mlc_handle *handle);

/// Copies the inputs to the device and finds room for the outputs there: handle->stagedInputs and stagedOutputs.
/// deviceUnstage copies the outputs back to `outputs`.
mlc_status deviceStage(mlc_handle *handle, const Signature &signature, const void *const *inputs);
mlc_status deviceUnstage(mlc_handle *handle, const Signature &signature, void *const *outputs);

} // namespace mlc
#endif
