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

/// Makes the device's context current for the calling thread, and restores the previous one afterwards.
class DeviceScope {
public:
  explicit DeviceScope(mlc_handle *handle);
  ~DeviceScope();
  DeviceScope(const DeviceScope &) = delete;
  DeviceScope &operator=(const DeviceScope &) = delete;

private:
  Device *device;
};

// The following need a DeviceScope. Copies and launches are queued in order; deviceWait waits for all of them and
// reports what failed.
enum class DeviceMemory { Private, Shared }; // Shared: the host can address it too, between calls
mlc_status deviceAllocate(mlc_handle *handle, size_t bytes, DeviceMemory kind, const char *purpose, void **memory);
void deviceRelease(mlc_handle *handle, void *memory);
mlc_status deviceWrite(mlc_handle *handle, void *device, const void *host, size_t bytes);
mlc_status deviceRead(mlc_handle *handle, void *host, const void *device, size_t bytes);
mlc_status deviceZero(mlc_handle *handle, void *device, size_t bytes);
mlc_status deviceWait(mlc_handle *handle);

/// Copies the inputs to the device and finds room for the outputs there: handle->stagedInputs and stagedOutputs.
/// deviceUnstage copies the outputs back to `outputs`.
mlc_status deviceStage(mlc_handle *handle, const Signature &signature, const void *const *inputs);
mlc_status deviceUnstage(mlc_handle *handle, const Signature &signature, void *const *outputs);

} // namespace mlc
#endif
