<?php
// Answers at once and never looks at the body.
header('Content-Type: text/plain');
echo 'not read';
