<?php
// Answers with the status `code`, and with `reason` instead of PHP's phrase.
$code = (int) ($_GET['code'] ?? 200);
if (isset($_GET['reason'])) {
    header("HTTP/1.1 $code {$_GET['reason']}");
} else {
    http_response_code($code);
}
if ($code !== 204 && $code !== 304) {
    echo "status $code";
}
