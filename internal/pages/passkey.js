// Passkeys: the only thing on these pages that a form alone cannot do. The form
// carries the options, and takes the answer to the server like any other field.
for (const form of document.querySelectorAll("form[data-passkey]")) {
  const field = form.querySelector("[name=credential]");
  const trouble = form.querySelector("[role=alert]");
  const usable = window.PublicKeyCredential && PublicKeyCredential.parseRequestOptionsFromJSON;
  if (!usable) continue;
  const options = JSON.parse(form.dataset.passkey);
  const wait = new AbortController();
  const finish = (credential) => {
    field.value = JSON.stringify(credential.toJSON());
    form.submit();
  };
  const get = (more) =>
    navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options), ...more });
  const make = () =>
    navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) });
  const ask = async () => {
    wait.abort();
    if (trouble) trouble.hidden = true;
    try {
      finish(await (form.dataset.make ? make() : get({})));
    } catch {
      if (trouble) trouble.hidden = false; // refused, or none there: the page says what else there is
    }
  };
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  if (form.dataset.autofill && PublicKeyCredential.isConditionalMediationAvailable) {
    PublicKeyCredential.isConditionalMediationAvailable().then((can) => {
      if (can) get({ mediation: "conditional", signal: wait.signal }).then(finish, () => {});
    });
  }
}
