/** Makes a worker out of an adapter. */
import type { ToWorker } from '../messages';
import type { RuntimeAdapter } from '../runtime';
import { Host } from './host';
import { hearing, observe, send } from './instruments';

/** `folder` is where this runtime's WASM files lie beside the worker's script. */
export function serve(adapter: RuntimeAdapter, folder: string): void {
  const host = new Host(adapter, new URL(`${folder}/`, self.location.href).href, { hearing, observe, send });
  self.addEventListener('message', (event: MessageEvent<ToWorker>) => {
    if (event.data.type === 'start') {
      // Never given back: the page is granted the same lock in the moment this worker dies.
      void navigator.locks.request(event.data.lock, () => {
        send({ type: 'locked' });
        return new Promise(() => undefined);
      });
    }
    host.receive(event.data);
  });
  send({ type: 'started' });
}
