/* Keys (WebAuthn): a form that says data-passkey asks the browser for a key and sends what it answers.
   Without scripts, or in a browser without keys, the form stays hidden: the password opens as before.
   webauthn-json.js (allauth, from GitHub) turns bytes into JSON for browsers that cannot. */
(() => {
  "use strict";
  const able = window.PublicKeyCredential && window.webauthnJSON;
  const words = { NotAllowedError: "cancelled", InvalidStateError: "known" };

  const options = async (form) => {
    const written = document.getElementById("js_data");
    if (form.dataset.passkey !== "login") return JSON.parse(written.textContent);
    const answer = await fetch(form.action, { headers: { Accept: "application/json" }, credentials: "same-origin" });
    if (!answer.ok) throw new Error("no challenge");
    return answer.json();
  };
  const ask = async (form) => {
    const data = await options(form);
    if (form.dataset.passkey !== "add") return window.webauthnJSON.get(data.request_options);
    const wanted = data.creation_options, choice = wanted.publicKey.authenticatorSelection;
    const alone = form.elements.passwordless.value === "on";
    choice.residentKey = alone ? "required" : "discouraged";
    choice.requireResidentKey = alone;
    if (alone) choice.userVerification = "required";
    return window.webauthnJSON.create(wanted);
  };
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    const said = form.querySelector("[role=alert]");
    if (!able) {
      const none = document.querySelector("[data-no-passkey]");
      if (none) none.hidden = false;
      continue;
    }
    form.hidden = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      said.hidden = true;
      try {
        form.elements.credential.value = JSON.stringify(await ask(form));
        form.submit();
      } catch (error) {
        said.textContent = said.dataset[words[error.name] || "failed"];
        said.hidden = false;
      }
    });
  }
})();
