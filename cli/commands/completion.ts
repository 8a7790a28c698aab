import { Argument, Command } from 'commander';
import { bashScript } from '../completion/bash-script.ts';

type Shell = 'bash' | 'zsh';

/** @param program with every command that there is, when it is asked. */
export function completionCommand(program: () => Command): Command {
  return new Command('completion')
    .description('Print a script by which a shell completes commands, options and files.')
    .addArgument(new Argument('<shell>', 'which one').choices(['bash', 'zsh']))
    .addHelpText(
      'after',
      `
  bash   echo 'eval "$(ringfill completion bash)"' >> ~/.bashrc
  zsh    echo 'eval "$(ringfill completion zsh)"' >> ~/.zshrc`,
    )
    .action((shell: Shell) => {
      process.stdout.write(BEFORE[shell] + bashScript(program()));
    });
}

const BEFORE: Readonly<Record<Shell, string>> = {
  bash: '',
  zsh: 'autoload -Uz compinit bashcompinit\n(( ${+functions[compdef]} )) || compinit\nbashcompinit\n',
};
