# What a person's own script throws away goes to the bin: nothing that was accepted disappears without a trace.
require ["fileinto"];
fileinto "Trash";
