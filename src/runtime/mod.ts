/** The one room that touches onnxruntime: devices, sessions, tensors that stay on the device. */
export {
  autoChoice,
  chooseDevice,
  cores,
  type Device,
  DEVICE_REQUESTS,
  type DeviceInfo,
  type DeviceRequest,
  listDevices,
} from "./device.ts";
export { loadOrt, type OrtModule } from "./ort.ts";
export { Runtime, type RuntimeOptions, Session, type SessionOptions } from "./session.ts";
export {
  type DeviceTensor,
  type ElementArrays,
  type ElementType,
  type HostTensor,
  isDeviceTensor,
  scalar,
  sizeOf,
  type Tensor,
  tensor,
} from "./tensor.ts";
