// A link to read one session by: made, copied, given another end, taken back.
import { dayWords, exactWords } from './ago.js';
import { openDialog } from './dialog.js';
import { fromTemplate, setText } from './dom.js';
import { problemWords } from './problem.js';
import { shareSession, unshareSession } from './sessions-api.js';

export async function openShareDialog(sessionId, { onRefusal = () => false } = {}) {
  const { body } = await openDialog('Share this session', 'sharing');
  const form = fromTemplate('share-template');
  const { days, url } = form.elements;
  const make = form.querySelector('[type=submit]');
  const copy = form.querySelector('.copy');
  const revoke = form.querySelector('.revoke');
  const say = (words) => setText(form.querySelector('.said'), words);

  // Only one question at a time: a link made and taken back at once would be either.
  async function ask(work) {
    for (const button of [make, revoke]) button.disabled = true;
    setText(form.querySelector('.error'), '');
    say('');
    try {
      await work();
    } catch (error) {
      if (!onRefusal(error)) setText(form.querySelector('.error'), problemWords(error));
    } finally {
      for (const button of [make, revoke]) button.disabled = false;
    }
  }

  function show(link) {
    form.querySelector('.made').hidden = copy.hidden = !link;
    url.value = link?.url ?? '';
    make.textContent = link ? 'Change the end' : 'Make a link';
    make.classList.toggle('primary', !link);
    copy.classList.toggle('primary', Boolean(link));
    const until = form.querySelector('.until');
    setText(until, !link ? '' : link.expiresAt ? `Holds until ${dayWords(link.expiresAt)}.` : 'Holds until you revoke it.');
    until.title = link?.expiresAt ? exactWords(link.expiresAt) : '';
  }

  form.onsubmit = (event) => {
    event.preventDefault();
    ask(async () => {
      const isNew = !url.value;
      show(await shareSession(sessionId, days.value ? { expiresInDays: Number(days.value) } : {}));
      say(isNew ? 'The link is ready. A link that was there before is still the same.' : 'Changed.');
      url.select();
    });
  };
  revoke.onclick = () => ask(async () => {
    await unshareSession(sessionId);
    show(null);
    say('Revoked: no link opens this session any more, and nobody reads along.');
  });
  copy.onclick = async () => {
    url.select();
    // The clipboard is for secure pages alone; the text is selected for whoever has to press Ctrl+C.
    const isCopied = await Promise.resolve(navigator.clipboard?.writeText(url.value).then(() => true)).catch(() => false);
    say(isCopied ? 'Copied.' : 'Press Ctrl+C to copy it.');
  };
  body.append(form);
  days.focus();
}
