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
    from: 'onnxruntime-web/dist',
    files: /^ort-wasm-simd-threaded\.asyncify\.(mjs|wasm)$/,
  },
  'mediapipe-llm': {
    package: '@mediapipe/tasks-genai',
    from: '@mediapipe/tasks-genai/wasm',
    files: /^genai_wasm_(nosimd_)?internal\.(js|wasm)$/,
  },
  'litert-lm': {
    package: '@litert-lm/core',
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

/** Puts the runtimes' WASM files beside the workers, and prints what each runtime weighs. */
function runtimeFiles(): Plugin {
  let out = '';
  return {
    name: 'runtime-files',
    apply: 'build',
    configResolved(config) {
      out = join(config.build.outDir, 'assets');
    },
    closeBundle() {
      for (const [runtime, { from, files }] of Object.entries(RUNTIMES)) {
        const source = join(modules, from);
        const target = join(here, out, runtime);
        mkdirSync(target, { recursive: true });
        const names = readdirSync(source).filter((name) => files.test(name));
        for (const name of names) copyFileSync(join(source, name), join(target, name));
        const scripts = readdirSync(join(here, out)).filter((name) => name.startsWith(`${runtime.replace('.', '_').replace('-', '_')}-`));
        const sizes = [
          ...scripts.map((name) => ({ name, bytes: statSync(join(here, out, name)).size })),
          ...names.map((name) => ({ name, bytes: statSync(join(target, name)).size })),
        ];
        const total = sizes.reduce((sum, { bytes }) => sum + bytes, 0);
        console.log(`\n${runtime} ${versions[runtime] ?? ''}: ${megabytes(total)} in all; a browser loads one build of it`);
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
  worker: { format: 'iife', rolldownOptions: { output: { entryFileNames: 'assets/[name]-[hash].js' } } },
  plugins: [runtimeFiles()],
  test: { include: ['test/**/*.test.ts'] },
});
