// JSON Schema in words. Pure: (document, schema) -> rows of [field, type, meaning].

export function resolved(document_, schema) {
  let found = schema ?? {};
  for (let i = 0; found.$ref && i < 10; i++) {
    found = found.$ref.slice(2).split('/').reduce((value, part) => value?.[part], document_) ?? {};
  }
  return found;
}

const MOST_DEEP = 3;

export function rowsOf(document_, schema, prefix = '', depth = 0) {
  const own = resolved(document_, schema);
  if (depth > MOST_DEEP) return [];
  if (own.type === 'array') return rowsOf(document_, own.items, `${prefix}[].`, depth + 1).map(([name, ...rest]) => [name.replace('.[]', '[]'), ...rest]);
  return Object.entries(own.properties ?? {}).flatMap(([name, given]) => {
    const field = resolved(document_, given);
    const isOptional = own.required && !own.required.includes(name);
    const row = [`${prefix}${name}`, typeWords(document_, given) + (isOptional ? ', optional' : ''), meaning(field)];
    const inner = field.type === 'array' ? rowsOf(document_, field.items, `${prefix}${name}[].`, depth + 1)
      : rowsOf(document_, field, `${prefix}${name}.`, depth + 1);
    return [row, ...inner];
  });
}

export function typeWords(document_, schema) {
  const own = resolved(document_, schema);
  const choices = own.anyOf ?? own.oneOf;
  if (choices) return [...new Set(choices.map((one) => typeWords(document_, one)))].join(' or ');
  if ('const' in own) return JSON.stringify(own.const);
  if (own.enum) return own.enum.map((value) => JSON.stringify(value)).join(' | ');
  if (own.type === 'array') return `list of ${typeWords(document_, own.items)}`;
  return (own.format ?? own.type ?? (own.properties ? 'object' : 'any')) + bounds(own);
}

function bounds({ minimum, maximum, minLength, maxLength }) {
  const least = minimum ?? minLength;
  const most = maximum ?? maxLength;
  const what = minLength !== undefined || maxLength !== undefined ? ' characters' : '';
  if (least === undefined && most === undefined) return '';
  if (most === undefined) return `, at least ${least}${what}`;
  return least === undefined ? `, at most ${most}${what}` : `, ${least} to ${most}${what}`;
}

const meaning = ({ description }) => (description ?? '').replaceAll('`', '').replace(/\s+/g, ' ').trim();
