import { copyFileSync, mkdirSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { defaultClientConditions, type Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

const here = fileURLToPath(new URL('.', import.meta.url));
const modules = join(here, 'node_modules');

/** Each runtime's package, and the files that its own loader asks for at run time. */
const RUNTIMES = {
  'transformers.js': {
    package: '@huggingface/transformers',
    worker: 'transformers_js',
    from: 'onnxruntime-web/dist',
    files: /^ort-wasm-simd-threaded\.asyncify\.(mjs|wasm)$/,
  },
  'mediapipe-llm': {
    package: '@mediapipe/tasks-genai',
    worker: 'mediapipe_llm',
    from: '@mediapipe/tasks-genai/wasm',
    // The build without SIMD is left out: no browser has WebGPU and no SIMD.
    files: /^genai_wasm_internal\.(js|wasm)$/,
  },
  'litert-lm': {
    package: '@litert-lm/core',
    worker: 'litert_lm',
    from: '@litert-lm/core/wasm',
    files: /^litertlm_wasm_.*\.(js|wasm)$/,
  },
} as const;

function versionOf(name: string): string {
  const manifest = JSON.parse(readFileSync(join(modules, name, 'package.json'), 'utf8')) as { version: string };
  return manifest.version;
}

const versions = Object.fromEntries(
  Object.entries(RUNTIMES).map(([runtime, { package: name }]) => [runtime, versionOf(name)]),
);

/** Puts each runtime's WASM files beside its worker, where they look for each other, and prints what it weighs. */
function runtimeFiles(): Plugin {
  let out = '';
  return {
    name: 'runtime-files',
    apply: 'build',
    configResolved(config) {
      out = join(config.build.outDir, 'assets');
    },
    closeBundle() {
      for (const [runtime, { worker, from, files }] of Object.entries(RUNTIMES)) {
        const source = join(modules, from);
        const target = join(here, out, worker);
        mkdirSync(target, { recursive: true });
        for (const name of readdirSync(source).filter((name) => files.test(name))) {
          copyFileSync(join(source, name), join(target, name));
        }
        const sizes = readdirSync(target).map((name) => ({ name, bytes: statSync(join(target, name)).size }));
        const total = sizes.reduce((sum, { bytes }) => sum + bytes, 0);
        console.log(`\n${runtime} ${versions[runtime] ?? ''}: ${megabytes(total)}`);
        for (const { name, bytes } of sizes) console.log(`  ${megabytes(bytes).padStart(9)}  ${name}`);
      }
    },
  };
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(2)} MB`;
}

export default defineConfig({
  base: './',
  define: { RUNTIME_VERSIONS: JSON.stringify(versions) },
  // ONNX Runtime's WASM loader stays a file of its own: its threads start from that file.
  resolve: { conditions: ['onnxruntime-web-use-extern-wasm', ...defaultClientConditions] },
  build: { target: 'es2022', assetsInlineLimit: 0, modulePreload: { polyfill: false }, chunkSizeWarningLimit: 2_000 },
  // Classic workers: two of the runtimes load their WASM glue with importScripts.
  worker: { format: 'iife', rolldownOptions: { output: { entryFileNames: 'assets/[name]/worker-[hash].js' } } },
  plugins: [runtimeFiles()],
  test: { include: ['test/**/*.test.ts'] },
});
