import { readFileSync } from 'node:fs'

const catalogues = {}

function catalogue(name, lang) {
  const file = new URL(`../../../internal/i18n/${name}.${lang}.json`, import.meta.url)
  return (catalogues[`${name}.${lang}`] ??= JSON.parse(readFileSync(file, 'utf8')))
}

// text is a message of the product's own catalogues, so that no test repeats it.
export function text(lang, id, vars = {}) {
  const message = ['pages', 'mail', 'common'].map((name) => catalogue(name, lang)[id]).find((m) => m !== undefined)
  if (message === undefined) throw new Error(`no message "${id}" in ${lang}`)
  const form = typeof message === 'string' ? message : (vars.Count === 1 && message.one) || message.other
  return form.replace(/\{\{\s*\.(\w+)\s*\}\}/g, (_, name) => {
    if (!(name in vars)) throw new Error(`message "${id}" needs ${name}`)
    return vars[name]
  })
}
