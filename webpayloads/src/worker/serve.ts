/** Makes a worker out of an adapter, or of any other course. The runtime's WASM files lie beside the worker's script. */
import type { ToWorker } from '../messages';
import type { RuntimeAdapter } from '../runtime';
import { Host, type Course } from './host';
import { hearing, observe, send } from './instruments';
import { ModelCourse } from './model_course';

export function serve(adapter: RuntimeAdapter): void {
  serveCourse(new ModelCourse(adapter, new URL('./', self.location.href).href));
}

export function serveCourse(course: Course): void {
  const host = new Host(course, { hearing, observe, send });
  self.addEventListener('message', (event: MessageEvent<ToWorker>) => {
    if (event.data.type === 'start') {
      // Never given back: the page is granted the same lock in the moment this worker dies. Needs a secure context.
      void (navigator as { locks?: LockManager }).locks?.request(event.data.lock, () => {
        send({ type: 'locked' });
        return new Promise(() => undefined);
      });
    }
    host.receive(event.data);
  });
  send({ type: 'started' });
}
