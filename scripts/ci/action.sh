#!/usr/bin/env bash
# What the GitHub action does: runs one command of syncline, leaves its forms in a folder, writes the summary of the job,
# comments where that is asked for, and ends as the command did.
#
# Inputs come as INPUT_… variables and are never put into a command as text. Reads GITHUB_OUTPUT, GITHUB_STEP_SUMMARY and
# RUNNER_TEMP as well.
set -euo pipefail

# The value of a sync's credential is in the environment of the job; the token of the comment goes to one command only.
token=${INPUT_TOKEN:-}
unset INPUT_TOKEN

fail() {
  printf '::error title=syncline::%s\n' "$1"
  exit 1
}

command -v syncline >/dev/null || fail 'there is no syncline in the PATH: run the action with the command "install" first'

directory=$(mktemp -d "$RUNNER_TEMP/syncline-XXXXXX")
echo "directory=$directory" >> "$GITHUB_OUTPUT"

cd "${INPUT_WORKING_DIRECTORY:-.}"
[ -z "${INPUT_ENVIRONMENT:-}" ] || export SYNCLINE_ENV=$INPUT_ENVIRONMENT

further=()
while IFS= read -r line; do
  [ -z "$line" ] || further+=("$line")
done <<< "${INPUT_ARGUMENTS:-}"

selection=()
[ -z "${INPUT_SELECT:-}" ] || selection=(--select "$INPUT_SELECT")

code=0
case "${INPUT_COMMAND:-plan}" in
  install) ;;
  validate) syncline validate --format github "${further[@]}" || code=$? ;;
  test | verify | doctor) syncline "$INPUT_COMMAND" "${further[@]}" || code=$? ;;
  plan)
    syncline validate --format github || fail 'the project has faults: they are annotated at their lines'
    against=()
    [ -z "${INPUT_AGAINST:-}" ] || against=(--against "$INPUT_AGAINST")
    [ "${INPUT_OFFLINE:-false}" != true ] || against+=(--offline)
    syncline plan --detailed-exitcode "${selection[@]}" "${against[@]}" \
      --write "html=$directory/plan.html" --write "json=$directory/plan.json" --write "markdown=$directory/plan.md" \
      --write "dotenv=$directory/outputs" "${further[@]}" || code=$?
    ;;
  apply)
    how=(--auto-approve)
    [ -z "${INPUT_APPROVED:-}" ] || how+=(--approved "$INPUT_APPROVED")
    [ "${INPUT_DUE:-false}" != true ] || how+=(--due)
    [ -z "${INPUT_PLAN_FILE:-}" ] || how+=("$INPUT_PLAN_FILE")
    syncline apply "${selection[@]}" "${how[@]}" --report "$directory/run.json" "${further[@]}" || code=$?
    if [ -e "$directory/run.json" ]; then
      syncline show "$directory/run.json" --format html > "$directory/run.html"
      syncline show "$directory/run.json" --format markdown > "$directory/run.md"
      syncline show "$directory/run.json" --format dotenv > "$directory/outputs"
    fi
    ;;
  *) fail "there is no command \`$INPUT_COMMAND\` in this action" ;;
esac

if [ -e "$directory/outputs" ]; then
  cat "$directory/outputs" >> "$GITHUB_OUTPUT"
fi
echo "exit-code=$code" >> "$GITHUB_OUTPUT"

for form in plan run; do
  if [ -e "$directory/$form.json" ]; then
    if [ "${INPUT_COMMENT:-false}" = true ]; then
      GITHUB_TOKEN=$token syncline comment "$directory/$form.json" --summary "$GITHUB_STEP_SUMMARY" ||
        fail 'the comment could not be written; the summary of the job has what it would say'
    else
      cat "$directory/$form.md" >> "$GITHUB_STEP_SUMMARY"
    fi
  fi
done

# Changes are what a plan is made for. Records that were rejected are in the report, and the next run sends them when they
# change: a warning, not a failure, unless whoever runs this looks at `exit-code`.
case "${INPUT_COMMAND:-plan}-$code" in
  plan-2) exit 0 ;;
  plan-3) printf '::error title=syncline::apply would refuse this plan: see the summary\n' ;;
  apply-4) printf '::warning title=syncline::applied, and some records were rejected or are in doubt: see the summary\n'; exit 0 ;;
  apply-5) printf '::error title=syncline::what would be applied is not what was approved: plan and review again\n' ;;
esac
exit "$code"
