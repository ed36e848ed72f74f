/** The matrix product as a plain WebGPU compute shader. */
import type { MatrixProduct } from '../../contract';
import { repeatFor, toProduct } from './samples';

export const GPU_SIZE = 256;
const LONGEST_MS = 400;
/** A submission should take this long, so that handing it over does not count; on a slow GPU a single product does. */
const SUBMISSION_MS = 20;
const MOST_PRODUCTS = 256;
const GROUP = 8;

const SHADER = /* wgsl */ `
const size = ${GPU_SIZE}u;
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;

@compute @workgroup_size(${GROUP}, ${GROUP})
fn multiply(@builtin(global_invocation_id) at: vec3u) {
  var sum = 0.0;
  for (var k = 0u; k < size; k++) {
    sum += a[at.y * size + k] * b[k * size + at.x];
  }
  c[at.y * size + at.x] = sum;
}`;

/** Samples are the time of a submission divided by its number of products. */
export async function gpuProduct(device: GPUDevice): Promise<MatrixProduct> {
  const bytes = 4 * GPU_SIZE * GPU_SIZE;
  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const buffers = [STORAGE | COPY_DST, STORAGE | COPY_DST, STORAGE | COPY_SRC].map((usage) =>
    device.createBuffer({ size: bytes, usage }),
  );
  const [a, b, c] = buffers as [GPUBuffer, GPUBuffer, GPUBuffer];
  const result = device.createBuffer({ size: bytes, usage: COPY_DST | MAP_READ });
  try {
    device.queue.writeBuffer(a, 0, new Float32Array(GPU_SIZE * GPU_SIZE).fill(1));
    device.queue.writeBuffer(b, 0, new Float32Array(GPU_SIZE * GPU_SIZE).fill(0.5));
    const pipeline = await device.createComputePipelineAsync({
      layout: 'auto',
      compute: { module: device.createShaderModule({ code: SHADER }) },
    });
    const group = device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [a, b, c].map((buffer, binding) => ({ binding, resource: { buffer } })),
    });
    const submit = async (products: number): Promise<number> => {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      for (let count = 0; count < products; count += 1) pass.dispatchWorkgroups(GPU_SIZE / GROUP, GPU_SIZE / GROUP);
      pass.end();
      const commands = encoder.finish();
      const start = performance.now();
      device.queue.submit([commands]);
      await device.queue.onSubmittedWorkDone();
      return (performance.now() - start) / products;
    };
    // The first one compiles and warms up; the second one tells how many fit.
    await submit(1);
    const single = await submit(1);
    const products = Math.max(1, Math.min(MOST_PRODUCTS, Math.floor(SUBMISSION_MS / Math.max(single, 0.001))));
    const samples = await repeatFor(LONGEST_MS, () => submit(products));
    await check(device, c, result);
    return toProduct('webgpu', GPU_SIZE, samples);
  } finally {
    for (const buffer of [...buffers, result]) buffer.destroy();
  }
}

/** @throws Error where the GPU calculates wrongly. */
async function check(device: GPUDevice, product: GPUBuffer, result: GPUBuffer): Promise<void> {
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(product, 0, result, 0, result.size);
  device.queue.submit([encoder.finish()]);
  await result.mapAsync(GPUMapMode.READ);
  const values = new Float32Array(result.getMappedRange());
  if (values.some((value) => value !== GPU_SIZE / 2)) {
    throw new Error('the product of two matrices came out wrong on WebGPU');
  }
  result.unmap();
}
