<?php
// Sends the client to `to`; PHP makes a 302 of it by itself.
header('Location: ' . ($_GET['to'] ?? '/greeter.php?who=Redirected'));
