#!/usr/bin/env bash
# Deploys Tenon from an unpacked package, with the AWS CLI or the SAM CLI. In a source tree, which
# has no package, it only checks (`make deploy`).
set -euo pipefail
# Without a pager, which a terminal may not have.
export AWS_PAGER=''
cd "$(dirname "$0")"

usage() {
    cat <<'USAGE'
Usage: ./deploy.sh [--check] [--bucket NAME] [--tag KEY=VALUE]… STACK [PARAMETER=VALUE]…

Creates or updates a stack in the account of your AWS credentials.

  --check          only check the package, the account, the stack's name and the parameters
  --bucket NAME    an S3 bucket of the same region for the code of the functions; without it, one is created
  --tag KEY=VALUE  a tag of the stack and most of its resources; may be repeated

AWS_PROFILE and AWS_REGION select credentials and region. docs/operations.md describes the parameters.
USAGE
}

passed() { printf '  ✓ %s\n' "$1"; }
failed() { printf '  ✗ %s\n' "$1" && obstacles=yes; }
stop() { printf '%s\n' "$1" >&2 && exit 1; }

check='' bucket='' stack='' obstacles='' parameters=() tags=()
while (($#)); do
    case $1 in
        -h | --help) usage && exit ;;
        --check) check=yes ;;
        --bucket) bucket=${2:?"--bucket needs a name"} && shift ;;
        --tag)
            [[ ${2-} == ?*=* ]] || stop "--tag needs KEY=VALUE, not \"${2-}\""
            tags+=("$2") && shift ;;
        -*) stop "unknown option $1; ./deploy.sh --help lists the options" ;;
        *=*) parameters+=("$1") ;;
        *) [ -z "$stack" ] || stop "there are two names of a stack, $stack and $1; parameters have the form NAME=VALUE" && stack=$1 ;;
    esac
    shift
done
[ "$stack" ] || { usage >&2 && exit 2; }

temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT

version=$(sed -n 's/^  Release: .*Version: \([^}]*\).*/\1/p' template.yaml)
architecture=$(sed -n '/^  Architecture:/,/Default:/s/^ *Default: //p' template.yaml)
tags=("Stack=$stack" ${tags[@]+"${tags[@]}"})

# ------------------------------------------------------------------------------------------------
# Checks

check_package() {
    if [ ! -f SHA256SUMS ]; then
        [ "$check" ] || stop "this folder is not a package: run make deploy, or unpack a package and run its deploy.sh"
    elif { LC_ALL=C sha256sum -c SHA256SUMS || LC_ALL=C shasum -a 256 -c SHA256SUMS; } >"$temporary/sums" 2>/dev/null; then
        passed "package of Tenon $version for $architecture"
    else
        failed "changed or missing files, unpack the package again: $(sed -n 's/: FAILED.*//p' "$temporary/sums" | sort -u | xargs)"
    fi
}

check_stack_name() {
    local suffix maximum
    # A function's name has at most 64 characters.
    suffix=$(sed -n 's/.*FunctionName: !Sub "${AWS::StackName}\([a-z-]*\)".*/\1/p' template.yaml |
        awk 'length > n { n = length } END { print n }')
    maximum=$((64 - suffix))
    if ! [[ $stack =~ ^[A-Za-z][A-Za-z0-9-]*$ ]]; then
        failed "the stack name $stack must be a letter, followed by letters, digits and hyphens"
    elif ((${#stack} > maximum)); then
        failed "the stack name $stack has ${#stack} characters; at most $maximum fit into the functions' names"
    else
        passed "stack $stack"
    fi
}

# Prints a property of a parameter in the template.
property_of() { sed -n "/^  $1:$/,/^  [A-Za-z]*:$/s/^    $2: //p" template.yaml; }

# Neither CLI rejects a parameter that the template does not have. CloudFormation rejects values,
# but only after the functions were built and uploaded.
check_parameters() {
    local parameter known name value minimum maximum allowed pattern
    known=$(sed -n '/^Parameters:/,/^[A-Z]/s/^  \([A-Za-z]*\):$/\1/p' template.yaml)
    for parameter in ${parameters[@]+"${parameters[@]}"}; do
        name=${parameter%%=*} value=${parameter#*=}
        # A name with several lines would be several patterns.
        if ! [[ $name =~ ^[A-Za-z]+$ ]] || ! grep -qxF "$name" <<<"$known"; then
            failed "unknown parameter $name; docs/operations.md lists the parameters"
            continue
        fi
        # The checks of the account know more about these.
        [[ $name != *PerSecond && $name != RequestBurst && $name != *ReservedConcurrency ]] || continue
        minimum=$(property_of "$name" MinValue) maximum=$(property_of "$name" MaxValue)
        allowed=$(property_of "$name" AllowedValues | sed 's/["[]//g; s/]//g')
        # Bash has no \d.
        pattern=$(property_of "$name" AllowedPattern | sed 's/^"//; s/"$//; s/\\\\/\\/g; s/\\d/[0-9]/g')
        if [ "$minimum$maximum" ] && ! { [[ $value =~ ^[0-9]{1,9}$ ]] &&
            ((10#$value >= ${minimum:-0} && 10#$value <= ${maximum:-999999999})); }; then
            failed "$name must be a whole number from ${minimum:-0} to ${maximum:-999999999}, not \"$value\""
        elif [ "$allowed" ] && ! [[ $value != *,* && ", $allowed, " == *", $value, "* ]]; then
            failed "$name must be one of $allowed, not \"$value\""
        elif [ "$pattern" ] && ! [[ $value =~ ^($pattern)$ ]]; then
            failed "$name has an invalid value, \"$value\"; docs/operations.md describes the parameters"
        fi
    done
}

# Prints the value that a parameter will have: as given, of the stack, or the default.
value_of() {
    local parameter
    for parameter in ${parameters[@]+"${parameters[@]}"}; do
        [[ $parameter != "$1="* ]] || { echo "${parameter#*=}" && return; }
    done
    sed -n "s/^$1[[:space:]]//p" "$temporary/stack" | grep . ||
        sed -n "/^  $1:/,/Default:/s/^ *Default: //p" template.yaml
}

check_tool() {
    if command -v aws >/dev/null; then
        tool=aws && passed "$(aws --version 2>&1 | cut -d ' ' -f 1)"
    elif command -v sam >/dev/null; then
        tool=sam && passed "$(sam --version); without the AWS CLI, credentials and account are not checked"
    else
        tool='' && failed "neither the AWS CLI nor the SAM CLI is installed: install the AWS CLI, version 2"
    fi
}

check_region() {
    region=${AWS_REGION:-${AWS_DEFAULT_REGION:-}}
    [ "$region" ] || [ "$tool" != aws ] || region=$(aws configure get region) || true
    if [ "$region" ]; then
        passed "region $region"
        # Version 1 of the AWS CLI reads AWS_DEFAULT_REGION only.
        export AWS_REGION=$region AWS_DEFAULT_REGION=$region
    else
        failed "no AWS region: set AWS_REGION$([ "$tool" != aws ] || echo ', or a region in your AWS profile')"
    fi
}

# A resource of another region is refused only when the alarms or the domain are created.
check_arns() {
    local parameter name of
    for parameter in ${parameters[@]+"${parameters[@]}"}; do
        name=${parameter%%=*}
        IFS=: read -r _ _ _ of _ <<<"${parameter#*=}"
        [[ $name != AlarmTopic && $name != CertificateArn || ! $of || $of = "$region" ]] ||
            failed "$name must be in the region $region, not in $of"
    done
}

# API Gateway refuses a route whose limit exceeds that of the account.
check_rate_limits() {
    local rate burst highest=0 name value requested invalid=''
    for name in RequestsPerSecond PublicRequestsPerSecond TestRequestsPerSecond RequestBurst; do
        value=$(value_of $name)
        if ! [[ $value =~ ^[1-9][0-9]{0,5}$ ]]; then
            failed "$name must be a whole number from 1 to 999999, not \"$value\""
            invalid=yes
        elif [ $name = RequestBurst ]; then
            requested=$value
        elif ((value > highest)); then
            highest=$value
        fi
    done
    [ -z "$invalid" ] || return 0
    read -r rate burst < <(aws apigateway get-account --region "$region" --output text \
        --query 'throttleSettings.[rateLimit, burstLimit]' 2>"$temporary/error") || true
    if ! [[ ${rate:-} =~ ^[0-9.]+$ && ${burst:-} =~ ^[0-9]+$ ]]; then
        passed "limit of API requests unknown: $(xargs -0 <"$temporary/error")"
    elif ((highest > ${rate%.*} || requested > burst)); then
        failed "this account permits ${rate%.*} API requests per second and bursts of $burst: deploy with at most
    RequestsPerSecond=${rate%.*} RequestBurst=$burst, PublicRequestsPerSecond and TestRequestsPerSecond
    included, or have the limits raised"
    else
        passed "${rate%.*} API requests per second"
    fi
}

# Lambda keeps 100 executions of an account unreserved.
check_reservations() {
    local name value reserved=0
    for name in AuthorizerReservedConcurrency TestReservedConcurrency; do
        value=$(value_of $name)
        [[ $value =~ ^[0-9]{1,6}$ ]] || { failed "$name must be a whole number, not \"$value\"" && return 0; }
        reserved=$((reserved + 10#$value))
    done
    ((reserved == 0 || reserved <= $1 - 100)) ||
        failed "AuthorizerReservedConcurrency and TestReservedConcurrency reserve $reserved of $1 concurrent executions, of which 100 and
    those that other functions reserve must remain: set both to 0, or have the limit raised"
}

check_warm_throughput() {
    local value
    value=$(value_of WarmWritesPerSecond)
    [[ $value = 0 || $value =~ ^[1-9][0-9]{3,6}$ && $value -ge 4000 ]] ||
        failed "WarmWritesPerSecond must be 0 or a whole number of at least 4000, not \"$value\""
}

# A deployment would delete the resources of another application.
check_owner() {
    if [[ $1 != *_COMPLETE || $1 == ROLLBACK_COMPLETE ]] ||
        aws cloudformation describe-stack-resource --region "$region" --stack-name "$stack" \
            --logical-resource-id DestinationsKey >/dev/null 2>"$temporary/error"; then
        return
    elif grep -q 'does not exist' "$temporary/error"; then
        failed "the stack $stack belongs to another application: choose another name"
    else
        failed "the resources of the stack $stack cannot be read: $(xargs -0 <"$temporary/error")"
    fi
}

check_account() {
    local region=${region:-us-east-1} caller limit status
    if ! caller=$(aws sts get-caller-identity --region "$region" --query '[Account, Arn]' --output text 2>"$temporary/error"); then
        failed "no valid AWS credentials: $(xargs -0 <"$temporary/error")"
        return
    fi
    account=${caller%%[[:space:]]*}
    # A shell that has read .local/env deploys to the local AWS.
    passed "account $account as ${caller##*[[:space:]]}${AWS_ENDPOINT_URL:+ at $AWS_ENDPOINT_URL}"

    limit=$(aws lambda get-account-settings --region "$region" --query AccountLimit.ConcurrentExecutions --output text \
        2>"$temporary/error") || limit=''
    if [ -z "$limit" ]; then
        passed "limit of concurrent executions unknown: $(xargs -0 <"$temporary/error")"
    elif ((limit < 1000)); then
        passed "only $limit concurrent executions in this account; docs/operations.md has fitting parameters (Small accounts)"
    else
        passed "$limit concurrent executions"
    fi

    # The status of the stack, and a line for each parameter.
    if aws cloudformation describe-stacks --region "$region" --stack-name "$stack" --output text \
        --query 'Stacks[0].[[StackStatus], Parameters[].[ParameterKey, ParameterValue]][]' \
        >"$temporary/stack" 2>"$temporary/error"; then
        read -r status _ <"$temporary/stack"
        check_owner "$status"
    elif grep -q 'does not exist' "$temporary/error"; then
        status=''
    else
        failed "the stack $stack cannot be read: $(xargs -0 <"$temporary/error")"
        return
    fi
    check_rate_limits
    [ -z "$limit" ] || check_reservations "$limit"
    check_warm_throughput
    case $status in
        ROLLBACK_COMPLETE) failed "the first deployment of this stack failed; delete what is left of it. First list its tables, as
    docs/operations.md (A failed first deployment) says, then delete the stack:
    aws cloudformation delete-stack --region $region --stack-name $stack &&
        aws cloudformation wait stack-delete-complete --region $region --stack-name $stack" ;;
        UPDATE_ROLLBACK_FAILED) failed "the last update of this stack failed, and so did its rollback:
    docs/operations.md (Upgrade) says how to continue it" ;;
        *_FAILED) failed "the stack has the status $status: delete it, or correct what its events name" ;;
        REVIEW_IN_PROGRESS) ;;
        *_IN_PROGRESS) failed "the stack is being changed ($status): wait until this ends" ;;
    esac
}

# The SAM CLI does not tell more about a stack. One that is not deployed yet has no outputs.
check_outputs() {
    if SAM_CLI_TELEMETRY=0 sam list stack-outputs --stack-name "$stack" --region "$region" --output json \
        >"$temporary/outputs" 2>/dev/null && grep -q '"OutputKey"' "$temporary/outputs" &&
        ! grep -q '"DirectoryTable"' "$temporary/outputs"; then
        failed "the stack $stack belongs to another application: choose another name"
    fi
}

# ------------------------------------------------------------------------------------------------
# Deployment

# Creates the bucket for the code of all stacks of this account and region if it does not exist, and
# applies its settings, which an earlier run may not have reached. The name is predictable: a bucket
# of another account with this name is not used.
prepare_bucket() {
    bucket=tenon-packages-$account-$region
    local location=() other="or name another bucket of your account with --bucket."
    [ "$region" = us-east-1 ] || location=(--create-bucket-configuration "LocationConstraint=$region")
    aws s3api head-bucket --bucket "$bucket" --expected-bucket-owner "$account" >/dev/null 2>&1 ||
        aws s3api create-bucket --bucket "$bucket" --object-ownership BucketOwnerEnforced \
            ${location[@]+"${location[@]}"} >/dev/null ||
        stop "The bucket $bucket cannot be created. Fix the cause above, $other"
    aws s3api put-public-access-block --bucket "$bucket" --public-access-block-configuration \
        BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true >/dev/null ||
        stop "Public access to the bucket $bucket cannot be blocked. Fix the cause above, $other"
    aws s3api put-bucket-encryption --bucket "$bucket" --server-side-encryption-configuration \
        '{"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}' >/dev/null ||
        stop "The encryption of the bucket $bucket cannot be set. Fix the cause above, $other"
}

deploy_with_aws() {
    local latest status
    [ "$bucket" ] || prepare_bucket
    echo "uploading the functions to s3://$bucket …"
    aws cloudformation package --template-file template.yaml --s3-bucket "$bucket" --s3-prefix tenon \
        --output-template-file "$temporary/template.yaml" >"$temporary/upload" 2>&1 ||
        stop "The upload failed: check that you may write to the bucket $bucket. $(tail -n 3 "$temporary/upload")"
    # Time of the latest event so far, by the clock of AWS. A new stack has none.
    latest=$(aws cloudformation describe-stack-events --stack-name "$stack" --max-items 1 --output text \
        --query 'StackEvents[0].Timestamp' 2>/dev/null | grep ^2) || latest=''
    if ! aws cloudformation deploy --template-file "$temporary/template.yaml" --s3-bucket "$bucket" --s3-prefix tenon \
        --stack-name "$stack" --capabilities CAPABILITY_IAM --no-fail-on-empty-changeset \
        --parameter-overrides "Architecture=$architecture" ${parameters[@]+"${parameters[@]}"} --tags "${tags[@]}"; then
        # The CLI also ends when it cannot follow the deployment any longer.
        status=$(aws cloudformation describe-stacks --stack-name "$stack" --output text \
            --query 'Stacks[0].StackStatus' 2>"$temporary/error") || status=$(grep . "$temporary/error")
        case $status in
            *'does not exist'*) ;;
            *' '* | CREATE_IN_PROGRESS | UPDATE_IN_PROGRESS | UPDATE_COMPLETE_CLEANUP_IN_PROGRESS)
                stop "The deployment may still be running: $status
Follow it with the command below. When the status no longer ends in _IN_PROGRESS, run this command again.

  aws cloudformation describe-stacks --region $region --stack-name $stack --query 'Stacks[0].StackStatus'" ;;
        esac
        # Newest first. CloudFormation also cancels resources because of an earlier failure.
        # The rollback of a first deployment has two events for each resource.
        aws cloudformation describe-stack-events --stack-name "$stack" --max-items 3000 --output text --query \
            "StackEvents[?ends_with(ResourceStatus, '_FAILED')].[Timestamp, LogicalResourceId, ResourceStatusReason]" \
            2>/dev/null | awk -v latest="$latest" '/^2/ && $1 > latest && !/ cancelled$/' >&2 || true
        stop "The deployment failed. Fix its cause, which the last lines above name, and run this command again."
    fi
    aws cloudformation describe-stacks --stack-name "$stack" --output text --query \
        "Stacks[0].Outputs[?contains(['Version', 'ApiUrl', 'ConsoleUrl'], OutputKey)].[OutputKey, OutputValue]"
    cat <<NEXT

Create an environment, whose name users see and which cannot be changed, and an API key with the id
that the first command prints:

  aws lambda invoke --region $region --function-name $stack-environments-create --payload fileb:///dev/stdin \\
      /dev/stdout <<< '{"name": "<name of your product>", "kind": "live"}'
  aws lambda invoke --region $region --function-name $stack-keys-create --payload fileb:///dev/stdin \\
      /dev/stdout <<< '{"environmentId": "<environmentId>", "name": "backend", "scopes": ["manage"]}'
NEXT
}

deploy_with_sam() {
    local target=(--resolve-s3) index
    # SAM refuses NAME=, reads NAME="" as an empty value, and ends a value without quotes at a
    # space.
    for index in ${parameters[@]+"${!parameters[@]}"}; do
        parameters[index]=${parameters[index]%%=*}="\"${parameters[index]#*=}\""
    done
    # SAM splits a tag with two equals signs at the second.
    for index in "${!tags[@]}"; do
        tags[index]=${tags[index]%%=*}="\"${tags[index]#*=}\""
    done
    [ -z "$bucket" ] || target=(--s3-bucket "$bucket" --s3-prefix tenon)
    SAM_CLI_TELEMETRY=0 sam deploy --template-file template.yaml --stack-name "$stack" --region "$region" "${target[@]}" \
        --capabilities CAPABILITY_IAM --no-confirm-changeset --no-fail-on-empty-changeset --no-progressbar \
        --parameter-overrides "Architecture=$architecture" ${parameters[@]+"${parameters[@]}"} --tags "${tags[@]}" ||
        stop "The deployment failed. Fix the cause that SAM names above, and run this command again."
    cat <<NEXT

Create an environment, whose name users see and which cannot be changed, and an API key with the id
that the first command prints:

  sam remote invoke EnvironmentsCreate --region $region --stack-name $stack \\
      --event '{"name": "<name of your product>", "kind": "live"}'
  sam remote invoke KeysCreate --region $region --stack-name $stack \\
      --event '{"environmentId": "<environmentId>", "name": "backend", "scopes": ["manage"]}'
NEXT
}

check_package
check_stack_name
check_parameters
check_tool
check_region
[ -z "$region" ] || check_arns
case $tool in
    aws) check_account ;;
    sam) [ -z "$region" ] || check_outputs ;;
esac
[ -z "$obstacles" ] || exit 1
[ -z "$check" ] || exit 0
"deploy_with_$tool"
